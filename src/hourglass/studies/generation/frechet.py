"""The Frechet distance: how far two sets of features are apart, as two Gaussians."""

import numpy as np

from hourglass.studies.generation.samplers import Gaussian


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared Frechet distance of two sets of features, (N, D) and (M, D).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) with their means and covariances (Heusel et al.
    2017, equation 6). With C = A^T A the trace of the root is the sum of the singular values of
    A1 A2^T: no root of a matrix is taken, so fewer samples than features do no harm. The distance
    of two samples of one distribution is above 0, and falls with their size: compare equal ones.

    Raises a UserError where a set has fewer than two samples.
    """
    one, other = Gaussian.fit(first), Gaussian.fit(second)
    common = np.linalg.svd(one.root @ other.root.T, compute_uv=False).sum()
    spread = np.square(one.root).sum() + np.square(other.root).sum() - 2 * common
    # Rounding may leave a little below 0 for equal sets.
    return float(np.square(one.mean - other.mean).sum() + max(spread, 0.0))
