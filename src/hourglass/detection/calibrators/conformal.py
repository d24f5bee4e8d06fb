"""Conformal prediction: a bounded false-alarm rate for any distribution of scores."""

import math

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator, check_fraction


class Conformal(Calibrator):
    """Set the threshold so that at most `alpha` of new normal samples raise an alarm.

    The threshold is the k-th smallest of n scores, k = ceil((n + 1) (1 - alpha)). If new normal
    samples are exchangeable with the calibration samples, the probability of a false alarm is at
    most alpha, over the draw of both (Vovk et al. 2005; Angelopoulos and Bates 2023, appendix D).

    With `delta`, the bound also holds for the deployed detector: k is the smallest rank such that
    the detector's false-alarm rate exceeds alpha with probability at most delta. That rate has the
    distribution Beta(n + 1 - k, k) (Vovk 2012, proposition 2a).

    Of a time series, the samples are blocks of one window, and an alarm in a block is an alarm: at
    most `alpha` of new normal blocks raise one. That assumes exchangeable blocks, as of a
    stationary series whose scores depend on each other over less than a block.

    Raises a UserError if n is too small for any such k.
    """

    method = "conformal"

    def __init__(self, alpha: float = 0.05, delta: float | None = None) -> None:
        self.alpha = check_fraction("alpha", alpha)
        self.delta = delta if delta is None else check_fraction("delta", delta)

    def value(self, scores: np.ndarray) -> float:
        """Return the k-th smallest score."""
        n, k = len(scores), self._rank(len(scores))
        if k > n:
            raise UserError(
                f"conformal with alpha {self.alpha}"
                f"{f' and delta {self.delta}' if self.delta else ''} needs {self.min_samples} "
                f"calibration samples, but there are {n}; raise alpha or calibrate on more."
            )
        return np.partition(scores, k - 1)[k - 1]

    def expected(self, scores: np.ndarray) -> float:
        """Return the expected false-alarm rate, 1 - k / (n + 1), which is at most alpha."""
        return 1 - self._rank(len(scores)) / (len(scores) + 1)

    def _rank(self, n: int) -> int:
        """Return k, or n + 1 if no k satisfies the bound."""
        # Rounded first, so that a rounding error such as 9.000000000000002 does not become 10.
        k = math.ceil(round((n + 1) * (1 - self.alpha), 9))
        if self.delta is None:
            return k
        from scipy.special import betainc

        ranks = np.arange(1, n + 1)
        valid = np.flatnonzero(betainc(n + 1 - ranks, ranks, self.alpha) >= 1 - self.delta)
        return int(ranks[valid[0]]) if len(valid) else n + 1

    @property
    def min_samples(self) -> int:
        """Return the smallest n for which a valid k exists."""
        if self.delta is None:
            return math.ceil(round(1 / self.alpha - 1, 9))
        return math.ceil(math.log(self.delta) / math.log1p(-self.alpha))


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the conformal p-value of each score, (m,); a small value is evidence of an anomaly.

    It is (1 + the number of calibration scores that are at least as high) / (n + 1) (Vovk et al.
    2005). In expectation, at most a fraction t of new normal samples has a p-value of t or less.
    """
    ordered = np.sort(calibration)
    at_least = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return (1 + at_least) / (len(ordered) + 1)


def discoveries(p: np.ndarray, rate: float = 0.1) -> np.ndarray:
    """Return the alarms of a batch at a false discovery rate: (m,) p-values -> (m,) bool.

    Uses the procedure of Benjamini and Hochberg (1995): in expectation, at most a fraction `rate`
    of the alarms is false. It is valid for conformal p-values that share one calibration set
    (Bates et al. 2023, theorem 2).
    """
    from scipy.stats import false_discovery_control

    check_fraction("rate", rate)
    return false_discovery_control(p) <= rate if len(p) else np.zeros(0, bool)


def why_no_discoveries(n: int, p: np.ndarray, rate: float) -> str:
    """Return a sentence if n calibration scores are too few for `discoveries`, "" otherwise.

    `p` holds the p-values of the batch, (m,). The smallest possible one is 1 / (n + 1); the
    procedure needs k of them, k = m / (rate (n + 1)). With k = 1, a single abnormal sample
    raises an alarm.
    """
    m, smallest = len(p), 1 / (n + 1)
    if not m or discoveries(p, rate).any():
        return ""
    needed = math.ceil(round(m * smallest / rate, 9))
    if needed == 1:
        return ""
    condition = f"{needed:,} of the {m:,} samples would have to have"
    if needed > m:
        condition = f"even all {m:,} samples together could not pass with"
    enough = math.ceil(round(m / rate, 9)) - 1
    found = int(np.isclose(p, smallest).sum())
    have = f"{found:,} {'has' if found == 1 else 'have'} it"
    return (
        f"a false discovery rate of {rate:g} gives no alarm: with {n:,} calibration scores the "
        f"smallest possible p-value is 1 / {n + 1:,} = {smallest:.2g}, which {condition} ({have}); "
        f"calibrate on {enough:,} normal samples, so that one sample alone can pass, score fewer "
        "at once, raise the rate, or use the threshold."
    )
