"""Denoising autoencoder: reproduce the clean input from a corrupted one."""

from collections.abc import Sequence
from typing import Any

from hourglass.models.base import LitAutoencoder
from hourglass.networks import Activation, Dense, is_image


class Denoising(LitAutoencoder):
    """Minimise L(x, g(f(x~))) over corruptions x~ of x (Vincent et al. 2008, equation 5).

    The corruption adds Gaussian noise of standard deviation `noise_factor`, then sets each element
    to 0 with probability `masking`; either may be 0. Evaluation inputs are not corrupted.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        hidden: Sequence[int] = (128,),
        activation: Activation = "relu",
        tied: bool = False,
        noise_factor: float = 0.3,
        masking: float = 0.0,
        **training: Any,
    ) -> None:
        network = Dense(
            sample_shape, latent_dim, hidden, activation, tied=tied, bounded=is_image(sample_shape)
        )
        super().__init__(network, noise_factor=noise_factor, masking=masking, **training)
