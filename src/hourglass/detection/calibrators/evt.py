"""Extreme-value theory: a threshold from a fitted tail of the normal scores."""

import math

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.detection.calibrators.base import Calibrator, check_fraction

MIN_EXCESSES = 20  # scores above the tail quantile; with fewer, the shape cannot be estimated


class EVT(Calibrator):
    """Set the threshold that a fraction `alpha` of normal scores exceeds, from a fitted tail.

    Peaks over threshold (Coles 2001, equation 4.12; Siffer et al. 2017): a generalised Pareto
    distribution with shape xi and scale sigma is fitted by maximum likelihood to the excesses over
    u, the `tail` quantile. With zeta, the fraction of scores above u, the threshold is
    u + sigma / xi * ((alpha / zeta)^-xi - 1). It may exceed the largest score, so a small `alpha`
    needs fewer samples than an empirical quantile.

    Raises a UserError if fewer than 20 scores exceed u, or if `alpha` is not smaller than zeta.
    """

    method = "evt"

    def __init__(self, alpha: float = 0.01, tail: float = 0.9) -> None:
        self.alpha = check_fraction("alpha", alpha)
        self.tail = check_fraction("tail", tail)

    @property
    def min_samples(self) -> int:
        """Return the smallest n with MIN_EXCESSES scores above the `tail` quantile."""
        # Of n distinct scores, ceil((n - 1) (1 - tail)) exceed the quantile.
        return math.floor(round((MIN_EXCESSES - 1) / (1 - self.tail), 9)) + 2

    def value(self, scores: np.ndarray) -> float:
        """Return the threshold."""
        from scipy.special import boxcox

        u = np.quantile(scores, self.tail)
        excess = scores[scores > u] - u
        zeta = len(excess) / len(scores)
        if len(excess) < MIN_EXCESSES:
            raise UserError(
                f"evt finds {counted(len(excess), 'score')} above the {self.tail} quantile, but "
                f"needs {MIN_EXCESSES}; lower tail, or calibrate on more samples."
            )
        if self.alpha >= zeta:
            raise UserError(
                f"alpha is {self.alpha}, but evt models only the upper {zeta:.3g} of scores; "
                "lower alpha or tail."
            )
        unit = excess.mean()  # scaled, because the optimiser starts at (1, 1)
        xi, sigma = fit_generalised_pareto(excess / unit)
        return u - unit * sigma * boxcox(self.alpha / zeta, -xi)

    def expected(self, scores: np.ndarray) -> float:
        """Return alpha."""
        return self.alpha


def fit_generalised_pareto(y: np.ndarray) -> tuple[float, float]:
    """Return the maximum-likelihood shape xi and scale sigma for excesses `y`, (n,).

    Maximises the likelihood of Coles (2001), equation 4.10, by the same search as
    `scipy.stats.genpareto.fit(y, floc=0)`. `scipy.stats` is avoided, since importing it takes half
    a second.
    """
    from scipy.optimize import fmin
    from scipy.special import xlog1py

    def negative_log_likelihood(parameters: np.ndarray) -> float:
        xi, sigma = parameters
        if sigma <= 0 or xi * y.max() <= -sigma:  # y lies outside the support
            return float(np.finfo(np.float64).max)
        z = y / sigma
        return len(y) * np.log(sigma) + (xlog1py(xi + 1, xi * z) / xi if xi else z).sum()

    xi, sigma = fmin(negative_log_likelihood, (1.0, 1.0), disp=False)
    return float(xi), float(sigma)
