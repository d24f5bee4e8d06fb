"""Resamples of labelled scores, drawn stratified: normal and anomalous samples each among theirs.

The counts of samples at each distinct score are all that is kept of a resample, and a few resamples
at a time are in memory, however many scores there are.
"""

from collections.abc import Iterator

import numpy as np

REPLICATES = 1000
FEWEST = 200  # for more than half a million scores, where each takes long
WORK = 100_000_000  # samples that are drawn in all, but for the fewest
MEMORY = 2_000_000  # samples that are drawn at once, or those of one replicate


def groups(scores: np.ndarray) -> tuple[np.ndarray, int]:
    """Return each sample's place among the distinct scores, the highest first, and their number.

    Raises a ValueError for NaN, which has no place.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    distinct, places = np.unique(scores, return_inverse=True)
    return len(distinct) - 1 - places, len(distinct)


def replicates(n: int) -> int:
    """Return how many resamples of n samples to draw."""
    return min(REPLICATES, max(FEWEST, WORK // max(n, 1)))


def portions(n: int) -> Iterator[int]:
    """Yield how many resamples of n samples to hold at once, until there are enough."""
    total = replicates(n)
    most = max(1, MEMORY // max(n, 1))
    for start in range(0, total, most):
        yield min(most, total - start)


def draw(rng: np.random.Generator, places: np.ndarray, size: int, count: int) -> np.ndarray:
    """Return how often each of `size` places comes up in resamples: (m,) -> (count, size)."""
    drawn = places[rng.integers(len(places), size=(count, len(places)))]
    drawn = drawn + np.arange(count)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic's resamples, (replicates,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
