"""Convolutional encoders and decoders, for images and vectors."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from hourglass.errors import Refusal
from hourglass.networks.base import ACTIVATIONS, Activation, Network, is_image


class Convolutional(Network):
    """Halve the side with a strided convolution for each of `channels`, then project to the code.

    Images (C, H, W) of any size take 2-D convolutions, vectors (F,) 1-D ones over one channel; the
    decoder mirrors the encoder with transposed convolutions that restore odd sides exactly. Without
    `projection` the code is the last feature map itself, flattened, whatever `latent_dim` says.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        code_activation: Activation = "identity",
        projection: bool = True,
        bounded: bool = False,
    ) -> None:
        if not channels:
            raise Refusal("channels is empty, but a convolutional network needs at least one.")
        image = tuple(sample_shape) if is_image(sample_shape) else (1, *sample_shape)
        sides = [image[1:]]
        for _ in channels:
            sides.append(tuple((side + 1) // 2 for side in sides[-1]))
        deepest = (channels[-1], *sides[-1])
        size = math.prod(deepest)
        super().__init__(
            sample_shape=list(sample_shape),
            latent_dim=latent_dim if projection else size,
            channels=list(channels),
            activation=activation,
            code_activation=code_activation,
            projection=projection,
            bounded=bounded,
        )
        self.encoder = nn.Sequential(
            nn.Unflatten(1, image) if image != self.sample_shape else nn.Identity(),
            *_down([image[0], *channels], len(image) - 1, activation),
            nn.Flatten(),
            nn.Linear(size, latent_dim) if projection else nn.Identity(),
            ACTIVATIONS[code_activation](),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, size) if projection else nn.Identity(),
            nn.Unflatten(1, deepest),
            *_up([*channels[::-1], image[0]], sides[::-1], activation),
            nn.Flatten() if image != self.sample_shape else nn.Identity(),
        )


def _down(channels: Sequence[int], dimensions: int, activation: Activation) -> list[nn.Module]:
    convolution = nn.Conv1d if dimensions == 1 else nn.Conv2d
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [convolution(inputs, outputs, 3, 2, 1), ACTIVATIONS[activation]()]
    return layers


def _up(
    channels: Sequence[int], sides: Sequence[tuple[int, ...]], activation: Activation
) -> list[nn.Module]:
    convolution = nn.ConvTranspose1d if len(sides[0]) == 1 else nn.ConvTranspose2d
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(channels)):
        # An even side 2m and the odd 2m - 1 both shrink to m; the padding tells them apart.
        odd = tuple(1 - side % 2 for side in sides[i + 1])
        layers += [ACTIVATIONS[activation](), convolution(inputs, outputs, 3, 2, 1, odd)]  # type: ignore[arg-type]
    return layers
