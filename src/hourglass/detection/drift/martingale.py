"""A test that watches scores as they come, and may be looked at after every one of them.

Conformal p-values of exchangeable samples are independent and uniform; a conformal test martingale
bets against that and starts at 1. Whatever bets it makes, without drift it ever reaches 1 / alpha
with a chance of alpha at most (Ville's inequality). So it may be watched for as long as anyone
likes, which a p-value may not.

Sources: Vovk, Nouretdinov and Gammerman 2003, "Testing exchangeability on-line", for the idea;
Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world", for the p-values; Vovk,
Petej, Nouretdinov, Ahlberg, Carlsson and Gammerman 2021, "Retrain or not retrain: conformal test
martingales for change-point detection", for the bets.
"""

import math
from collections.abc import Iterator

import numpy as np
from scipy.linalg import block_diag

BLOCK = 4096  # p-values that are bet on at once
# How often a bet changes sides: a rare jump suits a drift that stays, a frequent one that comes and
# goes. Nobody knows which, so the capital is divided among them.
JUMPS = (1e-4, 1e-3, 1e-2, 1e-1)
EDGE = 1e-12  # of (0, 1), within which bets are finite


def online_p_values(calibration: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """Return the smoothed conformal p-value of each score among all before it, (m,).

    Those before it are the calibration scores, (n,), and the earlier ones of the stream: p is
    (#greater + u #equal) / #all, itself included, where u is uniform (Vovk et al. 2005). Where
    calibration and stream together are exchangeable these are independent and uniform, exactly.
    p-values among the calibration scores alone are not: all of them share its luck, and a
    martingale of them alarms too often.
    """
    count, known = len(scores), np.sort(calibration)
    forward = np.argsort(scores, kind="stable")  # equal ones in their order
    backward = np.arange(count)[::-1][np.argsort(scores[::-1], kind="stable")]  # the last one first
    not_above, below = earlier_before(forward), earlier_before(backward)
    up_to = np.searchsorted(known, scores, "right")
    greater = len(known) - up_to + np.arange(count) - not_above
    equal = up_to - np.searchsorted(known, scores, "left") + not_above - below + 1
    chance = np.random.default_rng(seed).random(count)
    return (greater + chance * equal) / (len(known) + 1 + np.arange(count))


def earlier_before(order: np.ndarray) -> np.ndarray:
    """Return for each of the numbers 0 to m - 1 how many smaller ones stand before it: (m,).

    `order`, (m,), is a permutation of them. It is sorted by one bit after the other, from the
    highest: where two numbers part, the smaller is in the left half of what they share so far, and
    every one counts the left ones before it once. Takes m log(m) steps, all of them in numpy.
    """
    counts = np.zeros(len(order), np.int64)
    for bit in range(max(len(order) - 1, 0).bit_length())[::-1]:
        start = (
            order >> (bit + 1) << bit
        )  # of both halves of a number's part, which are full before
        right = (order >> bit & 1).astype(bool)
        lefts, rights = np.cumsum(~right) - start, np.cumsum(right) - start
        counts[order[right]] += lefts[right]
        place = 2 * start + np.where(right, (1 << bit) + rights, lefts) - 1
        following = np.empty_like(order)
        following[place] = order
        order = following
    return counts


def bets(p: np.ndarray) -> np.ndarray:
    """Return what each of the bets multiplies its stake by: (m,) -> (m, 5).

    None; on small p-values, 3/2 - p, and on large ones, 1/2 + p, as the Simple Jumper has them; and
    two that win much in either tail, 1 / (2 sqrt(p)) and the same of 1 - p (the power martingale of
    Vovk et al. 2003). A few outliers among many ordinary samples hardly move the mean of p, but
    they all lie in one tail. Each has a mean of 1 over uniform p.
    """
    p = np.clip(p, EDGE, 1 - EDGE)  # a bet at the very edge would win without limit
    return np.stack([np.ones(len(p)), 1.5 - p, 0.5 + p, 0.5 / np.sqrt(p), 0.5 / np.sqrt(1 - p)], 1)


def log_martingale(p: np.ndarray) -> np.ndarray:
    """Return the natural logarithm of the capital after each p-value: (m,) -> (m,).

    A fifth of it never bets, so that it never falls below that, however long nothing happens. A
    fifth goes to a jumper of each of JUMPS: its capital is spread evenly over the bets, each stake
    is multiplied by what its bet wins, and before every bet a share, the jump, of the whole is
    spread evenly again (Vovk et al. 2021, algorithm 1, there with three bets).
    """
    count, found = bets(p[:0]).shape[1], np.empty(len(p))
    spread = [(1 - jump) * np.eye(count) + jump / count for jump in JUMPS]
    moves = block_diag(np.eye(1), *spread)
    stakes = np.array([1.0, *[1 / count] * (count * len(JUMPS))]) / (1 + len(JUMPS))
    logarithm = 0.0
    for i, factor in enumerate(_factors(p)):
        stakes = (moves @ stakes) * factor
        grown = stakes.sum()
        logarithm += math.log(grown)
        stakes /= grown  # shares of the whole: the capital itself leaves what a float can hold
        found[i] = logarithm
    return found


def _factors(p: np.ndarray) -> Iterator[np.ndarray]:
    """Yield for each p-value what every stake is multiplied by, the idle one first: (21,) each."""
    for start in range(0, len(p), BLOCK):
        won = bets(p[start : start + BLOCK])
        yield from np.hstack([won[:, :1], *[won] * len(JUMPS)])


def first_alarm(log_capital: np.ndarray, alpha: float) -> int | None:
    """Return the index where the capital first reaches 1 / alpha, None where it never does."""
    reached = np.flatnonzero(log_capital >= -math.log(alpha))
    return int(reached[0]) if len(reached) else None
