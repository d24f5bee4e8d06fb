"""Linear autoencoder: without activations, the optimal code spans the PCA subspace."""

from collections.abc import Sequence
from typing import Any

from hourglass.models.base import LitAutoencoder
from hourglass.networks import Dense


class Linear(LitAutoencoder):
    """Minimise ||x - D(E x)||^2 with one encoder matrix E, one decoder matrix D, and biases.

    The optimum is PCA's reconstruction (Baldi and Hornik 1989), so the training error of PCA is a
    lower bound.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        tied: bool = False,
        **training: Any,
    ) -> None:
        network = Dense(sample_shape, latent_dim, activation="identity", tied=tied)
        super().__init__(network, **training)
