"""The convolutional network, for images and vectors."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from hourglass.core.errors import UserError
from hourglass.networks.base import ACTIVATIONS, Activation, Network, is_image
from hourglass.networks.onednn_linear import Linear


class Convolutional(Network):
    """Halve each side with one strided convolution per entry of `channels`, then project.

    Images, (C, H, W), of any size use 2-D convolutions; vectors, (F,), use 1-D convolutions over
    one channel. The decoder mirrors the encoder with transposed convolutions and restores odd sides
    exactly. Without `projection`, the latent code is the flattened last feature map and
    `latent_dim` is ignored.

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
        if stem < 0:
            raise UserError(f"stem is {stem}, but must be 0 or more.")
        if not channels:
            raise UserError("channels is empty, but a convolutional network needs at least one.")
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
            stem=stem,
            bounded=bounded,
        )
        ends = [stem or image[0], *channels]
        self.encoder = nn.Sequential(
            nn.Unflatten(1, image) if image != self.sample_shape else nn.Identity(),
            *(_full_size(image[0], stem, sides[0], activation) if stem else ()),
            *_down(ends, len(image) - 1, activation),
            nn.Flatten(),
            Linear(size, latent_dim) if projection else nn.Identity(),
            ACTIVATIONS[code_activation](),
        )
        self.decoder = nn.Sequential(
            Linear(latent_dim, size) if projection else nn.Identity(),
            nn.Unflatten(1, deepest),
            *_up(ends[::-1], sides[::-1], activation),
            *(_full_size(stem, image[0], sides[0], activation)[::-1] if stem else ()),
            nn.Flatten() if image != self.sample_shape else nn.Identity(),
        )


def _full_size(
    inputs: int, outputs: int, sides: tuple[int, ...], activation: Activation
) -> list[nn.Module]:
    """Return a stride-1 convolution, which preserves the sides, and an activation."""
    convolution = nn.Conv1d if len(sides) == 1 else nn.Conv2d
    return [convolution(inputs, outputs, 3, 1, 1), ACTIVATIONS[activation]()]


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
        # Sides 2m and 2m - 1 both shrink to m; an output padding of 1 restores the even side.
        odd = tuple(1 - side % 2 for side in sides[i + 1])
        layers += [ACTIVATIONS[activation](), convolution(inputs, outputs, 3, 2, 1, odd)]  # type: ignore[arg-type]
    return layers
