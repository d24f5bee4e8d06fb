"""Every sample's error under every class, by models that its own label did not teach."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

# From the samples of one class, (n, *S), to the function that returns errors: (m, *S) -> (m,).
Fit: TypeAlias = Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]


def folds_of(y: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the fold of each sample, (N,), at random; every class (N,) is spread evenly."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    for each in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == each))
        fold[members] = np.arange(len(members)) % count
    return fold


def class_errors(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, fit: Fit
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Yield samples, a class, and the samples' errors under it: (m,) int64, int, (m,).

    The model of a class that judges a fold has learnt from the other folds' members of that class.
    A sample with a wrong label is thus never judged by a model that was shown it under that label
    and may have memorised it. Confident learning (Northcutt et al. 2021) judges labels out of
    sample as well, by the probabilities of a classifier.
    """
    for held in np.unique(fold):
        judged = np.flatnonzero(fold == held)
        for each in np.unique(y):
            model = fit(x[(fold != held) & (y == each)])
            yield judged, int(each), model(x[judged])


def suspicion(errors: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how suspicious each label is, and the class that would fit best instead of it.

    `errors` (N, C) are those under every class, `y` (N,) the given classes. The suspicion is the
    natural logarithm of the error under the given class over the least of any other: above 0 where
    another class fits better. The error under the given class alone would rank what is hard to
    reconstruct under any class.
    """
    rows = np.arange(len(y))
    # An error of exactly 0 has no logarithm.
    logs = np.log(np.maximum(errors, np.finfo(np.float32).tiny))
    own = logs[rows, y]
    logs[rows, y] = np.inf
    other = logs.argmin(1)
    return own - logs[rows, other], other
