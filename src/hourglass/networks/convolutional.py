"""The convolutional network, for images, time series and vectors."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.base import (
    ACTIVATIONS,
    Activation,
    Network,
    constructor_arguments,
    is_image,
    require_at_least,
)
from hourglass.networks.onednn_linear import Linear

FIRST_CHANNELS, MAX_CHANNELS = 16, 128  # of the levels that `suggested_channels` adds
SMALLEST_SIDE = 8  # pixels; the longer side of the last feature map


def suggested_channels(sample_shape: Sequence[int]) -> list[int]:
    """Return one number of channels per level of a network for samples of a shape.

    Images are halved until their longer side has at most SMALLEST_SIDE pixels, but at least twice.
    The channels double from level to level, up to MAX_CHANNELS. Rows and windows have two levels.
    """
    levels = 2
    if is_image(sample_shape):
        levels = max(levels, math.ceil(math.log2(max(sample_shape[1:]) / SMALLEST_SIDE)))
    return [min(FIRST_CHANNELS * 2**level, MAX_CHANNELS) for level in range(levels)]


class Convolutional(Network):
    """Halve each side with one strided convolution per entry of `channels`, then project.

    Images, (C, H, W), of any size use 2-D convolutions; windows of a time series, (F, W), use 1-D
    convolutions over time; vectors, (F,), use 1-D convolutions over one channel. The decoder
    mirrors the encoder with transposed convolutions and restores odd sides exactly. Without
    `projection`, the latent code is the flattened last feature map and `latent_dim` is ignored.
    Without `channels`, `suggested_channels` gives the depth and the widths that suit the size.
    `residual` is the number of residual blocks after each strided convolution, and before each
    transposed one.

    `stem` is the number of channels of a stride-1 convolution before the first strided convolution
    and after the last transposed one (0 for none). With a stem, every output pixel depends on all
    of its neighbours; a transposed convolution alone treats even and odd positions differently.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] | None = None,
        activation: Activation = "relu",
        code_activation: Activation = "identity",
        projection: bool = True,
        stem: int = 0,
        bounded: bool = False,
        residual: int = 0,
    ) -> None:
        channels = suggested_channels(sample_shape) if channels is None else channels
        init_args = constructor_arguments(locals())
        require_at_least(0, stem=stem, residual=residual)
        if not channels:
            raise UserError("channels is empty, but a convolutional network needs at least one.")
        is_vector = len(sample_shape) == 1
        image = (1, *sample_shape) if is_vector else tuple(sample_shape)
        sides = [image[1:]]  # of the feature maps
        for _ in channels:
            sides.append(tuple((side + 1) // 2 for side in sides[-1]))
        size = channels[-1] * math.prod(sides[-1])
        super().__init__(**init_args | {"latent_dim": latent_dim if projection else size})

        is_2d = len(image) == 3
        convolution = nn.Conv2d if is_2d else nn.Conv1d
        transposed = nn.ConvTranspose2d if is_2d else nn.ConvTranspose1d
        function = ACTIVATIONS[activation]
        widths = [stem or image[0], *channels]
        encoder: list[nn.Module] = [nn.Unflatten(1, image) if is_vector else nn.Identity()]
        if stem:
            encoder += [convolution(image[0], stem, 3, 1, 1), function()]
        for inputs, outputs in pairwise(widths):
            encoder += [convolution(inputs, outputs, 3, 2, 1), function()]
            encoder += [Residual(convolution, outputs, function) for _ in range(residual)]
        encoder += [nn.Flatten(), Linear(size, latent_dim) if projection else nn.Identity()]
        self.encoder = nn.Sequential(*encoder, ACTIVATIONS[code_activation]())

        decoder: list[nn.Module] = [Linear(latent_dim, size) if projection else nn.Identity()]
        decoder.append(nn.Unflatten(1, (channels[-1], *sides[-1])))
        for (inputs, outputs), larger in zip(pairwise(widths[::-1]), sides[-2::-1], strict=True):
            # Sides 2m and 2m - 1 both shrink to m; an output padding of 1 restores the even side.
            padding: Any = tuple(1 - side % 2 for side in larger)
            decoder.append(function())
            decoder += [Residual(convolution, inputs, function) for _ in range(residual)]
            decoder.append(transposed(inputs, outputs, 3, 2, 1, padding))
        if stem:
            decoder += [function(), convolution(stem, image[0], 3, 1, 1)]
        self.decoder = nn.Sequential(*decoder, nn.Flatten() if is_vector else nn.Identity())


class Residual(nn.Module):
    """Add two convolutions of a feature map to it, then apply the activation (He et al. 2016).

    The last convolution starts at zero, so that a deep network without normalisation trains as
    easily as one without blocks (Goyal et al. 2017, section 5.1, for the last scale of a block).
    """

    def __init__(
        self, convolution: type[nn.Conv1d | nn.Conv2d], channels: int, function: type[nn.Module]
    ) -> None:
        super().__init__()
        last = convolution(channels, channels, 3, 1, 1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.block = nn.Sequential(convolution(channels, channels, 3, 1, 1), function(), last)
        self.function = function()

    def forward(self, x: Tensor) -> Tensor:
        """Return a feature map of the same shape, (N, C, H, W) or (N, C, W)."""
        return self.function(x + self.block(x))
