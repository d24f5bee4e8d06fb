"""Convolutional autoencoder: weights are shared across positions."""

from collections.abc import Sequence
from typing import Any

from hourglass import networks
from hourglass.models.base import LitAutoencoder


class Convolutional(LitAutoencoder):
    """Encode with strided convolutions and decode with transposed ones (Masci et al. 2011).

    Images use 2-D convolutions; time series use 1-D convolutions over time, vectors along the
    features. Without `projection`, the latent code is the last feature map and `latent_dim` is
    ignored. `stem` is the number of channels of a stride-1 convolution at both ends (0 for none).
    Without `channels`, the depth follows the size of the images. `residual` is the number of
    residual blocks per level.
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
        super().__init__(network, **training)
