"""What classifiers learn from: the labels of the normal samples, in subsets that nest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.prepared import Prepared


@dataclass(frozen=True)
class Labelled:
    """Hold samples, or what a network makes of them, and their classes by number."""

    x: np.ndarray  # (N, *S), unscaled; or codes (N, latent_dim)
    y: np.ndarray  # (N,) int64 from 0; -1 is a class that train does not hold: always an error

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.y)

    def first(self, count: int) -> "Labelled":
        """Return the first samples."""
        return Labelled(self.x[:count], self.y[:count])


@dataclass(frozen=True)
class Parts:
    """Hold the samples that a classifier is trained, chosen and tested on."""

    train: Labelled
    validation: Labelled
    test: Labelled


def read(prepared: Prepared, seed: int) -> Parts:
    """Return the normal samples of a data set with their classes: anomalies are no part of it.

    Each beginning of `train` is a stratified subset of it. `validation` is that split and
    `calibration`, `test` the normal samples of that split. Raises a UserError for a single class.
    """
    classes = names(prepared)
    if len(classes) < 2:
        raise UserError(
            f"the normal samples of {prepared.card['data']} are all labelled {classes[0]!r}, "
            "but a classifier needs at least 2 classes; name a data set that has them, such as "
            "digits."
        )
    return parts(prepared, classes, seed)


def names(prepared: Prepared) -> list[str]:
    """Return the names of a data set's classes in the order of their numbers."""
    return [str(name) for name in np.unique(prepared.split("train").label)]


def parts(prepared: Prepared, classes: Sequence[str], seed: int) -> Parts:
    """Return the normal samples as `read` does, their classes by number in the sorted `classes`."""
    train, validation, calibration, test = (
        prepared.split(name) for name in ("train", "validation", "calibration", "test")
    )
    known = np.array(classes)
    y = _numbers(train.label, known)
    order = stratified(y, seed)
    held = np.concatenate([validation.label, calibration.label])
    normal = ~test.anomaly
    return Parts(
        Labelled(train.x[order], y[order]),
        Labelled(np.concatenate([validation.x, calibration.x]), _numbers(held, known)),
        Labelled(test.x[normal], _numbers(test.label[normal], known)),
    )


def _numbers(label: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the places of labels among the sorted `classes`, -1 where they are not among them."""
    found = np.minimum(np.searchsorted(classes, label), len(classes) - 1)
    return np.where(classes[found] == label, found, -1)


def stratified(y: np.ndarray, seed: int) -> np.ndarray:
    """Return a random order of classes `y` (N,) in whose every beginning they have their shares.

    The i-th sample of a class of n stands where the share (i + 1/2) / n of the order is reached,
    but the first of every class stands in front: with as many labels as classes, each has one.
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(y))
    for each in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == each))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]] = 0
    return np.lexsort((rng.random(len(y)), place))  # ties by chance
