"""The tail of normal scores as extreme-value theory describes it."""

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator, need_share

LEAST = 20  # exceedances: fewer tell nothing of a tail's shape


class EVT(Calibrator):
    """Set the threshold where a generalised Pareto tail leaves `alpha` of the normal scores.

    Peaks over threshold (Coles 2001, equation 4.12; Siffer et al. 2017): what exceeds the `tail`
    quantile u by y is fitted by maximum likelihood, and the threshold is
    u + sigma / xi * ((alpha / zeta)^-xi - 1), zeta being the share of scores above u. It reaches
    beyond the largest score, so that small `alpha` need fewer samples than a quantile does.
    Raises a UserError where fewer than 20 scores exceed u, or `alpha` is no smaller than zeta.
    """

    method = "evt"

    def __init__(self, alpha: float = 0.01, tail: float = 0.9) -> None:
        self.alpha = need_share("alpha", alpha)
        self.tail = need_share("tail", tail)

    def value(self, scores: np.ndarray) -> float:
        """Return the threshold."""
        from scipy.special import boxcox

        u = np.quantile(scores, self.tail)
        excess = scores[scores > u] - u
        share = len(excess) / len(scores)
        if len(excess) < LEAST:
            raise UserError(
                f"evt finds {len(excess)} scores above the {self.tail} quantile, but needs "
                f"{LEAST}; lower tail, or calibrate on more samples."
            )
        if self.alpha >= share:
            raise UserError(
                f"alpha is {self.alpha}, but evt looks at the upper {share:.3g} of scores only; "
                "lower alpha or tail."
            )
        unit = excess.mean()  # the fit searches numbers near 1
        xi, sigma = most_likely(excess / unit)
        return u - unit * sigma * boxcox(self.alpha / share, -xi)

    def expected(self, scores: np.ndarray) -> float:
        """Return alpha."""
        return self.alpha


def most_likely(y: np.ndarray) -> tuple[float, float]:
    """Return xi and sigma of the generalised Pareto distribution most likely for excesses, (n,).

    As `scipy.stats.genpareto.fit(y, floc=0)` searches for it (Coles 2001, equation 4.10), without
    the half second that its hundred other distributions take to be imported.
    """
    from scipy.optimize import fmin
    from scipy.special import xlog1py

    def unlikely(parameters: np.ndarray) -> float:
        xi, sigma = parameters
        if sigma <= 0 or xi * y.max() <= -sigma:  # a distribution that ends before y does
            return float(np.finfo(np.float64).max)
        z = y / sigma
        return len(y) * np.log(sigma) + (xlog1py(xi + 1, xi * z) / xi if xi else z).sum()

    xi, sigma = fmin(unlikely, (1.0, 1.0), disp=False)
    return float(xi), float(sigma)
