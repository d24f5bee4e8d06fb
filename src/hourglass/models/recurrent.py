"""Recurrent autoencoder: a GRU or LSTM reads a window, another one writes it from the code."""

from collections.abc import Sequence
from typing import Any

from hourglass.models.base import LitAutoencoder
from hourglass.networks.recurrent import Cell
from hourglass.networks.recurrent import Recurrent as RecurrentNetwork


class Recurrent(LitAutoencoder):
    """Minimise the squared error of windows of a time series, (F, W) (Malhotra et al. 2016).

    `cell` is "gru" or "lstm", `width` the number of state units of each of the `layers` layers. The
    decoder gets only the code and writes the window from its last step to its first.
    Raises a UserError if samples are not windows.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        cell: Cell = "gru",
        width: int = 64,
        layers: int = 1,
        **training: Any,
    ) -> None:
        network = RecurrentNetwork(sample_shape, latent_dim, cell, width, layers)
        super().__init__(network, **training)
