"""A conformal test martingale: a sequential test for drift that is valid after every sample.

Conformal p-values of exchangeable samples are independent and uniform. The martingale starts with
a capital of 1 and bets against uniformity. Without drift, the probability that the capital ever
reaches 1 / alpha is at most alpha (Ville's inequality), for any bets. Unlike a p-value, it may
therefore be checked after every sample.

Sources: Vovk, Nouretdinov and Gammerman 2003, "Testing exchangeability on-line", for the method;
Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world", for the p-values; Vovk,
Petej, Nouretdinov, Ahlberg, Carlsson and Gammerman 2021, "Retrain or not retrain: conformal test
martingales for change-point detection", for the bets.
"""

import math
from collections.abc import Iterator

import numpy as np
from scipy.linalg import block_diag

BLOCK_SIZE = 4096  # p-values whose bets are computed at once
# Probabilities of switching to another bet before a p-value. Rare switches suit a lasting drift,
# frequent switches an intermittent drift. The kind of drift is unknown, so the capital is divided.
JUMP_PROBABILITIES = (1e-4, 1e-3, 1e-2, 1e-1)
MIN_P_VALUE = 1e-12  # p-values are clipped to [MIN_P_VALUE, 1 - MIN_P_VALUE] for finite bets


def online_p_values(calibration: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """Return the smoothed conformal p-value of each score of a stream, (m,).

    A score is compared with the calibration scores, (n,), the earlier scores of the stream, and
    itself: p is (#greater + u #equal) / #all with u uniform (Vovk et al. 2005). If calibration and
    stream together are exchangeable, the p-values are independent and uniform. p-values relative
    to the calibration scores alone are not independent; their martingale would raise too many
    alarms.
    """
    count, reference = len(scores), np.sort(calibration)
    forward = np.argsort(scores, kind="stable")  # equal scores in stream order
    backward = np.arange(count)[::-1][np.argsort(scores[::-1], kind="stable")]  # reversed order
    not_above, below = count_earlier_smaller(forward), count_earlier_smaller(backward)
    up_to = np.searchsorted(reference, scores, "right")
    greater = len(reference) - up_to + np.arange(count) - not_above
    equal = up_to - np.searchsorted(reference, scores, "left") + not_above - below + 1
    u = np.random.default_rng(seed).random(count)
    return (greater + u * equal) / (len(reference) + 1 + np.arange(count))


def count_earlier_smaller(order: np.ndarray) -> np.ndarray:
    """Count the smaller numbers that precede each of 0 to m - 1 in a permutation, (m,) -> (m,).

    `order` is sorted one bit at a time, from the highest, by a stable partition of each block (the
    numbers with equal higher bits) into a left half with the bit 0 and a right half with the bit 1.
    Two numbers are in the same block until their first different bit. Each number that moves to
    the right half counts the earlier numbers that move to the left half. This takes O(m log m)
    operations, all of them in NumPy.
    """
    counts = np.zeros(len(order), np.int64)
    for bit in range(max(len(order) - 1, 0).bit_length())[::-1]:
        # Number of left (and of right) elements in all earlier blocks, which are full.
        start = order >> (bit + 1) << bit
        right = (order >> bit & 1).astype(bool)
        lefts, rights = np.cumsum(~right) - start, np.cumsum(right) - start
        counts[order[right]] += lefts[right]
        place = 2 * start + np.where(right, (1 << bit) + rights, lefts) - 1
        following = np.empty_like(order)
        following[place] = order
        order = following
    return counts


def bets(p: np.ndarray) -> np.ndarray:
    """Return the factors by which the five bets multiply their stakes: (m,) -> (m, 5).

    The bets are: no bet; small p-values, 3/2 - p, and large ones, 1/2 + p (the Simple Jumper); and
    two bets on the tails, 1 / (2 sqrt(p)) and 1 / (2 sqrt(1 - p)) (the power martingale of Vovk et
    al. 2003). The tail bets detect a few outliers among many ordinary samples, although
    outliers hardly change the mean of p. Each factor has mean 1 over uniform p.
    """
    p = np.clip(p, MIN_P_VALUE, 1 - MIN_P_VALUE)
    return np.stack([np.ones(len(p)), 1.5 - p, 0.5 + p, 0.5 / np.sqrt(p), 0.5 / np.sqrt(1 - p)], 1)


def log_martingale(p: np.ndarray) -> np.ndarray:
    """Return the natural logarithm of the capital after each p-value: (m,) -> (m,).

    A fifth of the capital is never bet, which bounds the loss without drift. Each jump probability
    gets a fifth as well, spread evenly over the bets. Before each p-value, the fraction of its
    capital given by the jump probability is spread evenly again. Then each stake is multiplied by
    the factor of its bet (Vovk et al. 2021, algorithm 1, there with three bets).
    """
    count, logarithms = bets(p[:0]).shape[1], np.empty(len(p))
    spread = [(1 - jump) * np.eye(count) + jump / count for jump in JUMP_PROBABILITIES]
    transition = block_diag(np.eye(1), *spread)
    even_stakes = [1 / count] * (count * len(JUMP_PROBABILITIES))
    stakes = np.array([1.0, *even_stakes]) / (1 + len(JUMP_PROBABILITIES))
    logarithm = 0.0
    for i, factor in enumerate(_factors(p)):
        stakes = (transition @ stakes) * factor
        growth = stakes.sum()
        logarithm += math.log(growth)
        stakes /= growth  # normalised, since the capital itself may overflow
        logarithms[i] = logarithm
    return logarithms


def _factors(p: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the factors of all stakes, (21,), for each p-value; the first is never bet."""
    for start in range(0, len(p), BLOCK_SIZE):
        factors = bets(p[start : start + BLOCK_SIZE])
        yield from np.hstack([factors[:, :1], *[factors] * len(JUMP_PROBABILITIES)])


def first_alarm(log_capital: np.ndarray, alpha: float) -> int | None:
    """Return the index at which the capital first reaches 1 / alpha, or None."""
    reached = np.flatnonzero(log_capital >= -math.log(alpha))
    return int(reached[0]) if len(reached) else None
