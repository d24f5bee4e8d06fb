"""Convolutional denoising autoencoder: reconstruct clean images from noisy ones."""

from collections.abc import Sequence
from typing import Any

from hourglass import networks
from hourglass.models.base import LitAutoencoder


class ConvolutionalDenoising(LitAutoencoder):
    """Minimise L(x, g(f(x~))) with a convolutional encoder f and decoder g.

    x~ is x plus Gaussian noise of standard deviation `noise_factor`, in which each element is then
    set to 0 with probability `masking`. Evaluation inputs are not corrupted.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        channels: Sequence[int] | None = None,
        activation: networks.Activation = "relu",
        projection: bool = True,
        stem: int = 0,
        residual: int = 0,
        noise_factor: float = 0.5,
        masking: float = 0.0,
        **training: Any,
    ) -> None:
        network = networks.Convolutional(
            sample_shape,
            latent_dim,
            channels,
            activation,
            projection=projection,
            stem=stem,
            bounded=networks.is_image(sample_shape),
            residual=residual,
        )
        super().__init__(network, noise_factor=noise_factor, masking=masking, **training)
