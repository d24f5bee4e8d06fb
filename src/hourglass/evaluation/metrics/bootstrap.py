"""Stratified bootstrap of labelled scores: normal and anomalous samples are resampled separately.

A resample is stored as the number of samples at each distinct score. A few resamples at a time are
in memory, for any number of scores.
"""

from collections.abc import Iterator

import numpy as np

REPLICATES = 1000
MIN_REPLICATES = 200  # for more than half a million scores
TOTAL_DRAWS = 100_000_000  # samples drawn in all replicates, beyond the minimum of replicates
DRAWS_IN_MEMORY = 2_000_000  # samples drawn at once, or those of one replicate


def score_ranks(scores: np.ndarray) -> tuple[np.ndarray, int]:
    """Return each sample's rank among the distinct scores, 0 for the highest, and their number.

    Raises a ValueError for NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    distinct, places = np.unique(scores, return_inverse=True)
    return len(distinct) - 1 - places, len(distinct)


def replicates(n: int) -> int:
    """Return the number of resamples to draw of n samples."""
    return min(REPLICATES, max(MIN_REPLICATES, TOTAL_DRAWS // max(n, 1)))


def batches(n: int) -> Iterator[int]:
    """Yield the number of resamples of n samples to draw at once, until there are enough."""
    total = replicates(n)
    most = max(1, DRAWS_IN_MEMORY // max(n, 1))
    for start in range(0, total, most):
        yield min(most, total - start)


def draw(rng: np.random.Generator, ranks: np.ndarray, size: int, count: int) -> np.ndarray:
    """Return how often resamples contain each of `size` ranks: (m,) -> (count, size)."""
    drawn = ranks[rng.integers(len(ranks), size=(count, len(ranks)))]
    drawn = drawn + np.arange(count)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic's replicates, (replicates,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
