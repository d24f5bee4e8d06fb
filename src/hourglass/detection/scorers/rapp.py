"""RaPP: scores from the hidden activations of the encoder."""

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State
from hourglass.detection.scorers.forward_cache import ForwardCache

MAX_COMPONENTS = 512  # with more components, whitening would divide by variances near 0
MAX_EXACT_FEATURES = 2048  # above, PCA uses the randomized solver


class RaPP(Scorer):
    """Compare a sample with its reconstruction in the input and in every layer of the encoder.

    Without `whiten`, the score is the sum of squared differences (SAP). With `whiten`, the
    differences are first whitened by a PCA of the differences of normal samples, with at most
    MAX_COMPONENTS components (NAP). Source: Kim et al. 2020, equations 2 and 4.
    """

    name = "rapp"

    def __init__(self, whiten: bool = False) -> None:
        self.whiten = whiten

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return sample minus reconstruction, concatenated over all layers, (N, F)."""
        network, output = forward.network, forward.output
        if network.heads:  # a missing cell has no difference
            output = network.heads.observed(forward.x, output)
        pairs = zip(network.layers(forward.x), network.layers(output), strict=True)
        return torch.cat([a - b for a, b in pairs], 1)

    def fit(self, features: np.ndarray) -> State:
        """Return the mean difference, (F,), and the whitening matrix, (F, components)."""
        if not self.whiten:
            return {}
        from sklearn.decomposition import PCA

        if len(features) < 3:
            raise UserError(f"whitening needs 3 normal samples, but there are {len(features)}.")
        size = min(len(features) - 1, features.shape[1], MAX_COMPONENTS)
        exact = features.shape[1] <= MAX_EXACT_FEATURES
        solver = "covariance_eigh" if exact else "randomized"
        pca = PCA(size, svd_solver=solver, random_state=0).fit(features)
        used = pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]
        sd = np.sqrt(pca.explained_variance_[used])
        return {"mean": pca.mean_, "whitening": (pca.components_[used] / sd[:, None]).T}

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the function from differences, (N, F), to SAP or NAP scores, (N,)."""
        if not self.whiten:
            return lambda features: (features**2).sum(1)
        mean, whitening = state["mean"], state["whitening"]
        return lambda features: (((features - mean) @ whitening) ** 2).sum(1)
