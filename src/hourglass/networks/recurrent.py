"""The recurrent encoder and decoder, for windows of time series."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from torch import Tensor, nn

from hourglass.networks.base import (
    Network,
    constructor_arguments,
    require_at_least,
    require_series,
)
from hourglass.networks.onednn_linear import Linear

Cell: TypeAlias = Literal["gru", "lstm"]
CELLS: dict[Cell, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(Network):
    """Project the last state of a recurrent encoder to the code, and unroll a decoder from it.

    The decoder gets the code as its input at every step and returns the window in reverse order,
    last step first (Malhotra et al. 2016; without feedback of the output as in Srivastava et al.
    2015). Hence each recurrent layer is one call for all steps. Its first state is 0.

    `width` is the number of state units of each of the `layers` layers.
    Raises a UserError if samples are not windows, (F, W).
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        cell: Cell = "gru",
        width: int = 64,
        layers: int = 1,
    ) -> None:
        init_args = constructor_arguments(locals())
        require_series("a recurrent network", sample_shape)
        require_at_least(1, width=width, layers=layers)
        super().__init__(**init_args)
        inputs, steps = sample_shape
        self.encoder = nn.Sequential(
            StepsFirst(), States(cell, inputs, width, layers), Last(), Linear(width, latent_dim)
        )
        self.encoder.append(nn.Identity())  # the activation of the code, see `Network.layers`
        self.decoder = nn.Sequential(
            Repeat(steps),
            States(cell, latent_dim, width, layers),
            Linear(width, inputs),
            Reversed(),
        )


class StepsFirst(nn.Module):
    """Windows as sequences of steps."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the steps of windows: (N, F, W) -> (N, W, F)."""
        return x.transpose(1, 2)


class States(nn.Module):
    """The states of the last of several recurrent layers, at all steps."""

    def __init__(self, cell: Cell, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.cells = CELLS[cell](inputs, width, layers, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states: (N, W, inputs) -> (N, W, width)."""
        states: Tensor = self.cells(x)[0]
        return states


class Last(nn.Module):
    """The last step of sequences."""

    def forward(self, states: Tensor) -> Tensor:
        """Return the last step: (N, W, width) -> (N, width)."""
        return states[:, -1]


class Repeat(nn.Module):
    """Codes as sequences of equal steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, z: Tensor) -> Tensor:
        """Repeat codes: (N, latent_dim) -> (N, steps, latent_dim)."""
        return z[:, None].expand(-1, self.steps, -1)


class Reversed(nn.Module):
    """Sequences in reverse order as windows."""

    def forward(self, steps: Tensor) -> Tensor:
        """Return windows, last step first: (N, W, F) -> (N, F, W)."""
        return steps.flip(1).transpose(1, 2)
