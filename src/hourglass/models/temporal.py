"""Temporal convolutional autoencoder: dilated convolutions over the steps of a window."""

from collections.abc import Sequence
from typing import Any

from hourglass.models.base import LitAutoencoder
from hourglass.networks.temporal import Temporal as TemporalNetwork


class Temporal(LitAutoencoder):
    """Minimise the squared error of windows of a time series, (F, W) (Thill et al. 2021).

    `width` and `kernel` are those of the convolutions in `blocks` residual blocks, whose dilation
    doubles from block to block (Bai et al. 2018). `narrow` channels are averaged over `pool` steps
    before the projection to the code.
    Raises a UserError if samples are not windows.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        width: int = 32,
        blocks: int = 4,
        kernel: int = 3,
        narrow: int = 8,
        pool: int = 4,
        **training: Any,
    ) -> None:
        network = TemporalNetwork(sample_shape, latent_dim, width, blocks, kernel, narrow, pool)
        super().__init__(network, **training)
