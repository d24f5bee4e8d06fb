"""What an autoencoder must beat to be worth its training."""

import numpy as np
from sklearn.decomposition import PCA

from hourglass.errors import Refusal


class PCAReconstruction:
    """Score samples by the error of their reconstruction from `latent_dim` principal components.

    It is the optimum of every linear autoencoder with a code of that size.
    """

    def __init__(self, train: np.ndarray, latent_dim: int) -> None:
        flat = train.reshape(len(train), -1)
        if latent_dim > min(flat.shape):
            raise Refusal(f"latent_dim is {latent_dim}, but PCA has {min(flat.shape)} components.")
        # The full solvers are exact; the randomised one would need a seed and more care.
        solver = "covariance_eigh" if flat.shape[0] >= flat.shape[1] else "full"
        self.pca = PCA(latent_dim, svd_solver=solver).fit(flat)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the mean squared error per element of scaled samples: (N, *S) -> (N,) float64."""
        flat = x.reshape(len(x), -1)
        error = self.pca.inverse_transform(self.pca.transform(flat)) - flat
        return np.square(error, dtype=np.float64).mean(1)
