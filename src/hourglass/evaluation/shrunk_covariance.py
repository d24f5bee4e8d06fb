"""Mahalanobis distances with Ledoit-Wolf covariance, also for more features than samples.

The shrunk covariance is a multiple of the identity plus a matrix of low rank. Its eigenvectors come
from a thin decomposition of the samples, so no matrix of features x features is inverted.
"""

from dataclasses import dataclass

import numpy as np

BLOCK_ELEMENTS = 1 << 22  # of the samples converted to double precision at once


@dataclass(frozen=True)
class ShrunkCovariance:
    """The covariance (1 - s) C + s m I of Ledoit and Wolf (2004), "A well-conditioned estimator".

    C is the empirical covariance, m its mean eigenvalue, and s the shrinkage. Equal to
    `sklearn.covariance.LedoitWolf` in double precision, up to rounding.
    """

    mean: np.ndarray  # (F,) float64
    axes: np.ndarray  # (k, F): eigenvectors of C; k = min(N, F)
    variances: np.ndarray  # (k,): eigenvalues of the shrunk covariance along the axes
    other_variance: float  # its eigenvalue in all other directions, s m

    @classmethod
    def fit(cls, x: np.ndarray) -> "ShrunkCovariance":
        """Estimate mean and covariance from samples, (N, F)."""
        mean = x.mean(0, dtype=np.float64)
        centred = x - mean
        samples, features = x.shape
        if samples < features:
            _, singular, axes = np.linalg.svd(centred, full_matrices=False)
            variances = singular**2 / samples
        else:
            variances, axes = np.linalg.eigh(centred.T @ centred / samples)
            variances, axes = np.maximum(variances, 0), axes.T
        shrinkage = _shrinkage(centred, variances)
        other_variance = shrinkage * variances.sum() / features
        return cls(mean, axes, (1 - shrinkage) * variances + other_variance, other_variance)

    def squared_distances(self, x: np.ndarray) -> np.ndarray:
        """Return the squared Mahalanobis distances from the mean: (N, F) -> (N,) float64.

        A direction in which the training samples do not vary, and no shrinkage adds variance, does
        not count, as with a pseudo-inverse.
        """
        rows = max(1, BLOCK_ELEMENTS // len(self.mean))
        blocks = [self._squared_distances(x[i : i + rows]) for i in range(0, len(x), rows)]
        return np.concatenate(blocks or [np.zeros(0)])

    def _squared_distances(self, x: np.ndarray) -> np.ndarray:
        centred = x - self.mean
        projected = centred @ self.axes.T
        smallest = self.variances.max() * len(self.mean) * np.finfo(np.float64).eps
        inverse = _inverse(self.variances, smallest)
        distances = np.square(projected) @ inverse
        if len(self.axes) < len(self.mean):
            rest = np.square(centred - projected @ self.axes).sum(1)
            distances += rest * _inverse(np.asarray(self.other_variance), smallest)
        return distances


def _shrinkage(centred: np.ndarray, variances: np.ndarray) -> float:
    """Return the shrinkage s from centred samples, (N, F), and the eigenvalues of C.

    The sums over all pairs of features in the paper are computed from norms of samples and from
    eigenvalues.
    """
    samples, features = centred.shape
    squared = np.square(variances).sum()  # |C|^2
    fourth = np.square(np.square(centred).sum(1)).sum()  # sum of |x|^4
    noise = (fourth / samples - squared) / samples  # variance of the entries of C
    distance = squared - variances.sum() ** 2 / features  # |C - m I|^2
    return float(min(noise, distance) / distance) if min(noise, distance) > 0 else 0.0


def _inverse(variances: np.ndarray, smallest: float) -> np.ndarray:
    return np.where(variances > smallest, 1 / np.maximum(variances, smallest or 1), 0.0)
