"""Heuristic thresholds from normal scores, without a guarantee on the false-alarm rate."""

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator, check_fraction


class KSigma(Calibrator):
    """Set the threshold `k` standard deviations above the mean score of normal samples.

    With k = 2 and normally distributed scores, 2.3 % of normal samples raise an alarm. Real scores
    are skewed to the right, so expect a higher rate.
    """

    method = "k_sigma"

    def __init__(self, k: float = 2.0) -> None:
        self.k = k

    def value(self, scores: np.ndarray) -> float:
        """Return mean + k * sd; the variance divides by n, not n - 1."""
        return scores.mean() + self.k * scores.std()

    def expected(self, scores: np.ndarray) -> float:
        """Return the false-alarm rate for normally distributed scores."""
        return _normal_tail(self.k)


class MAD(Calibrator):
    """Set the threshold `k` robust standard deviations above the median score.

    The robust standard deviation is 1.4826 times the median absolute deviation, which tolerates up
    to half of the samples as outliers (Leys et al. 2013). Raises a UserError if more than half of
    the scores are equal.
    """

    method = "mad"

    def __init__(self, k: float = 3.0) -> None:
        self.k = k

    def value(self, scores: np.ndarray) -> float:
        """Return median + k * 1.4826 * MAD."""
        from scipy.special import ndtri

        spread = np.median(np.abs(scores - np.median(scores))) / ndtri(0.75)
        if not spread and len(scores) > 1:
            raise UserError("more than half of the scores are equal; use conformal instead of mad.")
        return np.median(scores) + self.k * spread

    def expected(self, scores: np.ndarray) -> float:
        """Return the false-alarm rate for normally distributed scores."""
        return _normal_tail(self.k)


class Quantile(Calibrator):
    """Set the threshold at the `q` quantile of normal scores.

    A fraction of about 1 - q of normal samples raises an alarm. The quantile interpolates
    linearly between order statistics.
    """

    method = "quantile"

    def __init__(self, q: float = 0.95) -> None:
        self.q = check_fraction("q", q)

    def value(self, scores: np.ndarray) -> float:
        """Return the `q` quantile of the scores."""
        return np.quantile(scores, self.q)

    def expected(self, scores: np.ndarray) -> float:
        """Return the false-alarm rate, 1 - q."""
        return 1 - self.q


class Manual(Calibrator):
    """Set the threshold to a constant; the scores are ignored."""

    method = "manual"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def value(self, scores: np.ndarray) -> float:
        """Return the constant."""
        return self.threshold


def _normal_tail(k: float) -> float:
    """Return the probability that a standard normal variable is above `k`."""
    from scipy.special import ndtr

    return float(ndtr(-k))
