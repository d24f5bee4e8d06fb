"""Conformal prediction: false alarms that are bounded whatever the scores' distribution."""

import math

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator, need_share


class Conformal(Calibrator):
    """Set the threshold so that at most `alpha` of new normal samples are alarms.

    The k-th smallest of n scores, k = ceil((n + 1) (1 - alpha)): if new normal samples are
    exchangeable with those, the chance of a false alarm is at most alpha, over the draw of both
    (Vovk et al. 2005; Angelopoulos and Bates 2023, appendix D). With a `delta`, k is the smallest
    for which the rate of the very detector that is deployed is above alpha with a chance of delta
    at most: that rate is distributed as Beta(n + 1 - k, k) (Vovk 2012, proposition 2a). Raises a
    UserError where n is too small for any such k.
    """

    method = "conformal"

    def __init__(self, alpha: float = 0.05, delta: float | None = None) -> None:
        self.alpha = need_share("alpha", alpha)
        self.delta = delta if delta is None else need_share("delta", delta)

    def value(self, scores: np.ndarray) -> float:
        """Return the k-th smallest score."""
        n, k = len(scores), self._rank(len(scores))
        if k > n:
            raise UserError(
                f"conformal with alpha {self.alpha}"
                f"{f' and delta {self.delta}' if self.delta else ''} needs {self._least()} "
                f"calibration samples, but there are {n}; raise alpha or calibrate on more."
            )
        return np.partition(scores, k - 1)[k - 1]

    def expected(self, scores: np.ndarray) -> float:
        """Return the mean rate, 1 - k / (n + 1), which is at most alpha."""
        return 1 - self._rank(len(scores)) / (len(scores) + 1)

    def _rank(self, n: int) -> int:
        """Return k, or n + 1 where no k holds what it promises."""
        # Rounded first: 0.9 * 10 is 9.000000000000002 or so, and must not become 10.
        k = math.ceil(round((n + 1) * (1 - self.alpha), 9))
        if self.delta is None:
            return k
        from scipy.special import betainc

        ranks = np.arange(1, n + 1)
        held = np.flatnonzero(betainc(n + 1 - ranks, ranks, self.alpha) >= 1 - self.delta)
        return int(ranks[held[0]]) if len(held) else n + 1

    def _least(self) -> int:
        """Return the smallest n for which there is a k."""
        if self.delta is None:
            return math.ceil(round(1 / self.alpha - 1, 9))
        return math.ceil(math.log(self.delta) / math.log1p(-self.alpha))


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the conformal p-value of each score, (m,): small ones speak against being normal.

    (1 + the number of calibration scores that are no smaller) / (n + 1) (Vovk et al. 2005): of new
    normal samples at most a share of t has a p-value of t or less.
    """
    ordered = np.sort(calibration)
    no_smaller = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return (1 + no_smaller) / (len(ordered) + 1)


def discoveries(p: np.ndarray, rate: float = 0.1) -> np.ndarray:
    """Return which samples of a batch are alarms, (m,) bool, by Benjamini and Hochberg (1995).

    In expectation at most a share of `rate` of these alarms is false; it holds for conformal
    p-values of one calibration set too (Bates et al. 2023, theorem 2).
    """
    from scipy.stats import false_discovery_control

    need_share("rate", rate)
    return false_discovery_control(p) <= rate if len(p) else np.zeros(0, bool)
