"""Stratified bootstrap of scores: normal and anomalous samples are resampled separately.

A resample is stored as the number of samples at each distinct score. Resamples are drawn in
batches, so memory is bounded for any number of scores.
"""

from collections.abc import Iterator

import numpy as np

REPLICATES = 1000  # number of resamples
MIN_REPLICATES = 200  # number of resamples for more than half a million scores
TOTAL_DRAWS = 100_000_000  # limit on samples drawn in all resamples; MIN_REPLICATES may exceed it
DRAWS_IN_MEMORY = 2_000_000  # limit on samples drawn at once; one resample may exceed it


def score_ranks(scores: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rank of each score, (N,), and the number of distinct scores.

    Equal scores have the same rank; the highest has rank 0. Raises a ValueError for NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    distinct, places = np.unique(scores, return_inverse=True)
    return len(distinct) - 1 - places, len(distinct)


def batches(n: int) -> Iterator[int]:
    """Yield batch sizes that add up to the number of resamples of n samples."""
    total = min(REPLICATES, max(MIN_REPLICATES, TOTAL_DRAWS // n))
    largest = max(1, DRAWS_IN_MEMORY // n)
    for start in range(0, total, largest):
        yield min(largest, total - start)


def draw(rng: np.random.Generator, ranks: np.ndarray, size: int, count: int) -> np.ndarray:
    """Draw `count` resamples and return the frequency of each rank, (count, size).

    `ranks` are those of the m samples to resample, (m,); `size` is the number of distinct ranks.
    """
    drawn = ranks[rng.integers(len(ranks), size=(count, len(ranks)))]
    drawn = drawn + np.arange(count)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)


def interval(values: np.ndarray, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a statistic, from its value per resample, (R,).

    `samples` is the size of the smaller group, normal samples or anomalies. Percentiles of
    resamples are too narrow for few samples. They are expanded as the t interval of a mean is
    against the normal one: to the levels Phi(+-sqrt(n / (n - 1)) t) (Hesterberg 2015, section 5.3).
    """
    from scipy.special import ndtr, stdtrit

    level = 100 * ndtr(np.sqrt(samples / (samples - 1)) * stdtrit(samples - 1, 0.025))
    low, high = np.percentile(values, [level, 100 - level])
    return float(low), float(high)
