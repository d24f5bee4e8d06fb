"""The convolutional network, for images, time series and vectors."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from hourglass.core.errors import UserError
from hourglass.networks.base import (
    ACTIVATIONS,
    Activation,
    Network,
    constructor_arguments,
    require_at_least,
)
from hourglass.networks.onednn_linear import Linear


class Convolutional(Network):
    """Halve each side with one strided convolution per entry of `channels`, then project.

    Images, (C, H, W), of any size use 2-D convolutions; windows of a time series, (F, W), use 1-D
    convolutions over time; vectors, (F,), use 1-D convolutions over one channel. The decoder
    mirrors the encoder with transposed convolutions and restores odd sides exactly. Without
    `projection`, the latent code is the flattened last feature map and `latent_dim` is ignored.

    `stem` is the number of channels of a stride-1 convolution before the first strided convolution
    and after the last transposed one (0 for none). With a stem, every output pixel depends on all
    of its neighbours; a transposed convolution alone treats even and odd positions differently.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        code_activation: Activation = "identity",
        projection: bool = True,
        stem: int = 0,
        bounded: bool = False,
    ) -> None:
        init_args = constructor_arguments(locals())
        require_at_least(0, stem=stem)
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
        encoder += [nn.Flatten(), Linear(size, latent_dim) if projection else nn.Identity()]
        self.encoder = nn.Sequential(*encoder, ACTIVATIONS[code_activation]())

        decoder: list[nn.Module] = [Linear(latent_dim, size) if projection else nn.Identity()]
        decoder.append(nn.Unflatten(1, (channels[-1], *sides[-1])))
        for (inputs, outputs), larger in zip(pairwise(widths[::-1]), sides[-2::-1], strict=True):
            # Sides 2m and 2m - 1 both shrink to m; an output padding of 1 restores the even side.
            padding: Any = tuple(1 - side % 2 for side in larger)
            decoder += [function(), transposed(inputs, outputs, 3, 2, 1, padding)]
        if stem:
            decoder += [function(), convolution(stem, image[0], 3, 1, 1)]
        self.decoder = nn.Sequential(*decoder, nn.Flatten() if is_vector else nn.Identity())
