"""Scores from where a sample's code lies among those of normal samples."""

import numpy as np
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Scorer, Scores, State
from hourglass.detection.scorers.forward_cache import ForwardCache


class Mahalanobis(Scorer):
    """Measure the distance of a code from the mean of normal ones, in their own spread.

    The covariance is shrunk as Ledoit and Wolf (2004) derive, so it can be inverted where a code
    has more units than there are samples, and where units are idle.
    """

    name = "mahalanobis"

    def look(self, view: ForwardCache) -> Tensor:
        """Return the codes, (N, latent_dim)."""
        return view.code

    def fit(self, seen: np.ndarray) -> State:
        """Return the codes' mean, (latent_dim,), and precision, (latent_dim, latent_dim)."""
        from sklearn.covariance import LedoitWolf

        found = LedoitWolf().fit(seen.astype(np.float64))
        return {"mean": found.location_, "precision": found.precision_}

    def scores(self, state: State) -> Scores:
        """Return the root of (z - mean) precision (z - mean)."""

        def score(seen: np.ndarray) -> np.ndarray:
            away = seen - state["mean"]
            squared = np.einsum("nf,fg,ng->n", away, state["precision"], away, optimize=True)
            return np.sqrt(np.maximum(squared, 0))

        return score


class Neighbors(Scorer):
    """Measure the mean distance of a code to its `k` nearest among normal ones.

    Raises a UserError where there are not more than `k` normal samples.
    """

    name = "neighbors"

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise UserError(f"k is {k}, but must be at least 1.")
        self.k = k

    def look(self, view: ForwardCache) -> Tensor:
        """Return the codes, (N, latent_dim)."""
        return view.code

    def fit(self, seen: np.ndarray) -> State:
        """Return the codes."""
        if len(seen) <= self.k:
            raise UserError(
                f"k is {self.k}, but there are {len(seen)} normal codes only; lower it."
            )
        return {"codes": seen}

    def scores(self, state: State) -> Scores:
        """Return the mean distance to the nearest codes, found by a tree where that is faster."""
        from sklearn.neighbors import NearestNeighbors

        neighbors = NearestNeighbors(n_neighbors=self.k).fit(state["codes"])
        return lambda seen: neighbors.kneighbors(seen)[0].mean(1, dtype=np.float64)
