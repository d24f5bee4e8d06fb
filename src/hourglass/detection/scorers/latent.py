"""Scores that compare a latent code with the codes of normal samples."""

from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State, known_mean
from hourglass.detection.scorers.forward_cache import ForwardCache


class Mahalanobis(Scorer):
    """The Mahalanobis distance of a latent code from the mean of normal codes.

    The covariance estimate is shrunk (Ledoit and Wolf 2004), so it is invertible even if the code
    has more dimensions than there are samples, or constant dimensions.
    """

    name = "mahalanobis"

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the latent codes, (N, latent_dim)."""
        return forward.z

    def fit(self, features: np.ndarray) -> State:
        """Return the mean of the codes, (latent_dim,), and precision, (latent_dim, latent_dim)."""
        from sklearn.covariance import LedoitWolf

        covariance = LedoitWolf().fit(features.astype(np.float64))
        return {"mean": covariance.location_, "precision": covariance.precision_}

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the function z -> sqrt((z - mean)^T precision (z - mean))."""

        def score(z: Array) -> Array:
            offset = z - state["mean"]
            einsum = torch.einsum if isinstance(z, Tensor) else partial(np.einsum, optimize=True)
            squared = einsum("nf,fg,ng->n", offset, state["precision"], offset)
            return squared.clip(min=0) ** 0.5

        return score


class Neighbors(Scorer):
    """The mean distance of a latent code to its `k` nearest normal codes.

    If `of` is "input", it is the distance of the scaled sample to the nearest normal samples. For
    codes that are wider than a sample, it needs less memory and detects as well. A missing cell is
    then the mean of the normal samples; indicators of missing cells would outweigh the values.

    Raises a UserError if there are `k` or fewer normal samples.
    """

    name = "neighbors"

    def __init__(self, k: int = 5, of: Literal["code", "input"] = "code") -> None:
        if k < 1:
            raise UserError(f"k is {k}, but must be at least 1.")
        if of not in ("code", "input"):
            raise UserError(f"of is {of!r}, but must be 'code' or 'input'.")
        self.k = k
        self.of = of

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the latent codes, (N, latent_dim), or the inputs, (N, F), NaN in missing cells."""
        if self.of == "code":
            return forward.z
        heads = forward.network.heads
        return (forward.x[:, : heads.values] if heads else forward.x).flatten(1)

    def fit(self, features: np.ndarray) -> State:
        """Return the normal codes or inputs, (n, F), and the means of the inputs, (F,)."""
        if len(features) <= self.k:
            raise UserError(
                f"k is {self.k}, but must be below {len(features)}, the number of normal codes."
            )
        if self.of == "code":
            return {"codes": features}
        mean = known_mean(features).astype(features.dtype)
        return {"codes": np.where(np.isnan(features), mean, features), "mean": mean}

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return a function from codes to their mean distance to the nearest normal codes.

        scikit-learn searches with a tree if that is faster than comparing all pairs.
        """
        codes, mean = state["codes"], state.get("mean")

        def filled(z: Array) -> Array:
            xp: Any = torch if isinstance(z, Tensor) else np
            return z if mean is None else xp.where(xp.isnan(z), mean, z)

        if isinstance(codes, Tensor):
            return lambda z: _distances(filled(z), codes).topk(self.k, largest=False).values.mean(1)
        from sklearn.neighbors import NearestNeighbors

        neighbors = NearestNeighbors(n_neighbors=self.k).fit(codes)

        def score(z: Array) -> Array:
            distances, _ = neighbors.kneighbors(filled(z).astype(codes.dtype))
            return distances.mean(1, dtype=np.float64)

        return score


def _distances(z: Tensor, codes: Tensor) -> Tensor:
    """Return the distances of all pairs, (N, n); the ONNX export lacks `cdist` in float64."""
    squared = (z**2).sum(1, keepdim=True) - 2 * z @ codes.T + (codes**2).sum(1)
    return squared.clip(min=0).sqrt()
