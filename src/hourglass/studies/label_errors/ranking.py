"""Ranking of labelled samples by cross-fitted reconstruction errors under each class."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.prepared_data import SPLITS, Prepared

MIN_CLASS_SAMPLES = 10  # to train the network of a class

# Fits a model to samples of one class, (n, *S); returns its error function, (m, *S) -> (m,).
Fit: TypeAlias = Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class LabelledDataset:
    """The normal samples of all five splits, with their given labels."""

    x: np.ndarray  # (N, *S), unscaled
    id: np.ndarray  # (N,) str
    split: np.ndarray  # (N,) str
    y: np.ndarray  # (N,) int64, indices into `classes`
    classes: np.ndarray  # (C,) str, sorted

    @property
    def label(self) -> np.ndarray:
        """Return the given labels as class names, (N,) str."""
        return self.classes[self.y]


def read_labelled_dataset(prepared: Prepared) -> LabelledDataset:
    """Read the normal samples of all five splits; anomalies are excluded.

    Raises a UserError for a single class, and for a class of fewer than MIN_CLASS_SAMPLES.
    """
    data, splits = prepared.card["data"], [prepared.split(name) for name in SPLITS]

    def normal(field: str) -> np.ndarray:
        return np.concatenate([getattr(split, field)[~split.anomaly] for split in splits])

    classes, y, counts = np.unique(normal("label"), return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise UserError(
            f"the normal samples of {data} are all labelled {str(classes[0])!r}, but a label error "
            "needs another class; name a data set with at least 2 classes, such as digits."
        )
    rarest = int(counts.argmin())
    if counts[rarest] < MIN_CLASS_SAMPLES:
        raise UserError(
            f"class {str(classes[rarest])!r} of {data} has "
            f"{counted(counts[rarest], 'normal sample')}, but needs "
            f"{MIN_CLASS_SAMPLES}; merge it with another class or remove it from the raw data."
        )
    split_names = np.repeat(SPLITS, [np.sum(~split.anomaly) for split in splits])
    return LabelledDataset(normal("x"), normal("id"), split_names, y, classes)


def assign_folds(y: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return a random, stratified fold index below `count` per sample: classes (N,) -> (N,)."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        fold[members] = np.arange(len(members)) % count
    return fold


def cross_fitted_errors(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, fit: Fit
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Yield sample indices, a class, and the samples' errors under it: (m,) int64, int, (m,).

    The model of a class is fitted to the samples of that class in all other folds. It therefore
    cannot have memorised a mislabelled sample that it evaluates. Confident learning
    (Northcutt et al. 2021) uses out-of-sample class probabilities in the same way.
    """
    for held_out in np.unique(fold):
        evaluated = np.flatnonzero(fold == held_out)
        for label in np.unique(y):
            model = fit(x[(fold != held_out) & (y == label)])
            yield evaluated, int(label), model(x[evaluated])


def label_suspicion(errors: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the suspicion of each given label, (N,), and the suggested class, (N,).

    `errors` (N, C) are the errors under every class, `y` (N,) the given classes. The suggested
    class has the lowest error of all other classes. The suspicion is the natural logarithm of the
    ratio of the error under the given class to the error under the suggested class; it is above 0
    if the suggested class fits better. Without the ratio, samples that are hard to reconstruct
    under any class would rank first.
    """
    rows = np.arange(len(y))
    logs = np.log(np.maximum(errors, np.finfo(np.float32).tiny))  # an error may be exactly 0
    under_given = logs[rows, y]
    logs[rows, y] = np.inf
    suggested = logs.argmin(1)
    return under_given - logs[rows, suggested], suggested
