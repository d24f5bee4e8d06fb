"""The network of the masked autoencoder: it is told which cells are hidden."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from hourglass.networks import Architecture, make
from hourglass.networks.base import (
    Activation,
    Network,
    constructor_arguments,
    is_image,
)
from hourglass.networks.heads import TableHeads


class Masked(Network):
    """Reconstruct samples with hidden elements, which are NaN.

    The encoder gets 0 in their place, and as further inputs an indicator of each: of each element
    of a row, of each input of a window at each step, of each pixel of an image. Missing cells of a
    table are hidden cells.
    """

    takes_hidden: ClassVar[bool] = True

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        architecture: Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        bounded: bool = False,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
        first, *others = sample_shape
        inputs = (first + 1 if is_image(sample_shape) else 2 * first, *others)
        encoder, decoder = (
            make(architecture, shape, latent_dim, hidden, channels, activation=activation)
            for shape in (inputs, sample_shape)
        )
        self.encoder = nn.Sequential(Indicated(), *encoder.encoder.children())
        self.decoder = decoder.decoder

    def use_heads(self, heads: TableHeads) -> None:
        """Set the heads; missing cells are not filled, as the encoder takes them as hidden."""
        self.heads = heads

    def flat_inputs(self, x: Tensor) -> Tensor:
        """Return inputs as vectors, with 0 in hidden elements: (N, *S) -> (N, elements)."""
        return torch.nan_to_num(x, nan=0.0).flatten(1)


def hide(x: Tensor, elements: Tensor, heads: TableHeads | None = None) -> Tensor:
    """Return samples, (N, *S), with elements, (N, *S) bool, as missing cells are: NaN.

    Of a table, `elements` are all those of a column; an indicator of missing cells becomes 1.
    """
    if heads is None or heads.is_plain:
        return x.masked_fill(elements, torch.nan)
    indicator = heads.is_indicator[:, None] if x.ndim == 3 else heads.is_indicator
    return x.masked_fill(elements & ~indicator, torch.nan).masked_fill(elements & indicator, 1.0)


def by_cell(x: Tensor, heads: TableHeads | None) -> Tensor:
    """Return one element of each cell in the order of losses: (N, C), (N, W, C) or (N, *S)."""
    if heads is None:
        return x
    x = x if heads.is_plain else x[:, heads.first]
    return x.transpose(1, 2) if x.ndim == 3 else x


class Indicated(nn.Module):
    """Replace hidden elements by 0 and append indicators of them."""

    def forward(self, x: Tensor) -> Tensor:
        """Return filled samples with indicators: (N, F, ...) -> (N, 2 F, ...), or one channel."""
        is_hidden = x.isnan()
        indicators = is_hidden.any(1, keepdim=True) if x.ndim == 4 else is_hidden
        return torch.cat([x.masked_fill(is_hidden, 0.0), indicators.to(x.dtype)], 1)
