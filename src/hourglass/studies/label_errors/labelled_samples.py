"""The samples whose labels are in question: the normal ones of all splits."""

from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.prepared import SPLITS, Prepared

LEAST = 10  # samples of a class: fewer teach a network nothing about it


@dataclass(frozen=True)
class Labelled:
    """Hold samples, where they come from, and the labels they were given."""

    x: np.ndarray  # (N, *S), unscaled
    id: np.ndarray  # (N,) str
    split: np.ndarray  # (N,) str
    y: np.ndarray  # (N,) int64, places in `classes`
    classes: np.ndarray  # (C,) str, sorted

    @property
    def label(self) -> np.ndarray:
        """Return the given labels by name, (N,) str."""
        return self.classes[self.y]


def read(prepared: Prepared) -> Labelled:
    """Return the normal samples of all five splits: anomalies are no part of it.

    Raises a UserError for a single class, and for a class of fewer than 10 samples.
    """
    parts = [(name, prepared.split(name)) for name in SPLITS]
    kept = [(name, part, ~part.anomaly) for name, part in parts]
    label = np.concatenate([part.label[normal] for _, part, normal in kept])
    classes, y, counts = np.unique(label, return_inverse=True, return_counts=True)
    _check(prepared.card["data"], classes, counts)
    return Labelled(
        x=np.concatenate([part.x[normal] for _, part, normal in kept]),
        id=np.concatenate([part.id[normal] for _, part, normal in kept]),
        split=np.repeat([name for name, *_ in kept], [normal.sum() for *_, normal in kept]),
        y=y,
        classes=classes,
    )


def _check(data: str, classes: np.ndarray, counts: np.ndarray) -> None:
    if len(classes) < 2:
        raise UserError(
            f"the normal samples of {data} are all labelled {str(classes[0])!r}, but a label can "
            "be mistaken only for another one; name a data set with 2 classes at least, such as "
            "digits."
        )
    rarest = int(counts.argmin())
    if counts[rarest] < LEAST:
        raise UserError(
            f"class {str(classes[rarest])!r} of {data} has {counts[rarest]} normal samples, but "
            f"needs {LEAST}; merge it with another class or take it out of the raw data."
        )
