"""Rules of thumb on normal scores: simple, and without a guarantee."""

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator, need_share


class KSigma(Calibrator):
    """Set the threshold `k` standard deviations above the mean score of normal samples.

    With k = 2 about 2.3 % false alarms, if scores were normally distributed; they are skewed to the
    right, so expect more.
    """

    method = "k_sigma"

    def __init__(self, k: float = 2.0) -> None:
        self.k = k

    def value(self, scores: np.ndarray) -> float:
        """Return mean + k * sd, the sd with n in the denominator."""
        return scores.mean() + self.k * scores.std()

    def expected(self, scores: np.ndarray) -> float:
        """Return the share of a normal distribution above k standard deviations."""
        return _normal_tail(self.k)


class MAD(Calibrator):
    """Set the threshold `k` robust standard deviations above the median score.

    1.4826 times the median absolute deviation is the standard deviation of a normal distribution,
    and half of the samples may be outliers without moving it much (Leys et al. 2013). Raises a
    UserError where more than half of the scores are the same.
    """

    method = "mad"

    def __init__(self, k: float = 3.0) -> None:
        self.k = k

    def value(self, scores: np.ndarray) -> float:
        """Return median + k * 1.4826 * MAD."""
        from scipy.special import ndtri

        spread = np.median(np.abs(scores - np.median(scores))) / ndtri(0.75)
        if not spread and len(scores) > 1:
            raise UserError("mad finds more than half of the scores to be the same; use conformal.")
        return np.median(scores) + self.k * spread

    def expected(self, scores: np.ndarray) -> float:
        """Return the share of a normal distribution above k standard deviations."""
        return _normal_tail(self.k)


class Quantile(Calibrator):
    """Set the threshold at the `q` quantile of normal scores: about 1 - q of them are alarms.

    Linear interpolation between order statistics. Raises a UserError unless 0 < q < 1.
    """

    method = "quantile"

    def __init__(self, q: float = 0.95) -> None:
        self.q = need_share("q", q)

    def value(self, scores: np.ndarray) -> float:
        """Return the quantile."""
        return np.quantile(scores, self.q)

    def expected(self, scores: np.ndarray) -> float:
        """Return 1 - q."""
        return 1 - self.q


class Manual(Calibrator):
    """Set the threshold to a `threshold` that somebody chose, whatever the scores are."""

    method = "manual"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def value(self, scores: np.ndarray) -> float:
        """Return it."""
        return self.threshold


def _normal_tail(k: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-k))
