"""Convolutional denoising autoencoder: clean images from noisy ones."""

from collections.abc import Sequence
from typing import Any

from hourglass import networks
from hourglass.models.base import LitAutoencoder


class ConvolutionalDenoising(LitAutoencoder):
    """Minimise L(x, g(f(x~))) with a convolutional encoder f and decoder g.

    x~ is x with gaussian noise of standard deviation `noise_factor`, 0.5 being the classic, and
    each element set to 0 with probability `masking`. Evaluation sees clean inputs.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "relu",
        projection: bool = True,
        stem: int = 0,
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
        )
        super().__init__(network, noise_factor=noise_factor, masking=masking, **training)
