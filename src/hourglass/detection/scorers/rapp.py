"""Scores from the encoder's hidden layers (RaPP)."""

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Scorer, Scores, State
from hourglass.detection.scorers.forward_cache import ForwardCache

MOST = 512  # components: beyond, whitening would divide by next to nothing
EXACT = 2048  # elements up to which the covariance is decomposed exactly


class RaPP(Scorer):
    """Compare a sample with its reconstruction in the input and in every layer of the encoder.

    Without `whiten` the sum of the squared differences (SAP); with it their distance in the spread
    of normal ones (NAP), from at most 512 principal components (Kim et al. 2020, equations 2, 4).
    """

    name = "rapp"

    def __init__(self, whiten: bool = False) -> None:
        self.whiten = whiten

    def look(self, view: ForwardCache) -> Tensor:
        """Return the differences of all layers side by side, (N, F)."""
        pairs = zip(view.network.layers(view.x), view.network.layers(view.output), strict=True)
        return torch.cat([a - b for a, b in pairs], 1)

    def fit(self, seen: np.ndarray) -> State:
        """Return the differences' mean, (F,), and what whitens them, (F, components)."""
        if not self.whiten:
            return {}
        from sklearn.decomposition import PCA

        if len(seen) < 3:
            raise UserError(f"whitening needs 3 normal samples, but there are {len(seen)}.")
        size = min(len(seen) - 1, seen.shape[1], MOST)
        solver = "covariance_eigh" if seen.shape[1] <= EXACT else "randomized"
        found = PCA(size, svd_solver=solver, random_state=0).fit(seen)
        kept = found.explained_variance_ > 1e-6 * found.explained_variance_[0]
        spread = np.sqrt(found.explained_variance_[kept])
        return {"mean": found.mean_, "whitening": (found.components_[kept] / spread[:, None]).T}

    def scores(self, state: State) -> Scores:
        """Return the squared differences' sum, as they are or whitened."""
        if not self.whiten:
            return lambda seen: np.square(seen, dtype=np.float64).sum(1)
        mean, whitening = (state[key].astype(np.float64) for key in ("mean", "whitening"))
        return lambda seen: np.square((seen - mean) @ whitening).sum(1)
