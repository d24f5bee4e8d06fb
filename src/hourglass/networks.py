"""The networks: plain modules that need torch alone, so that scoring never pays for the trainer."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from hourglass.errors import Refusal

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "identity"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def is_image(sample_shape: Sequence[int]) -> bool:
    """Return whether samples are images (C, H, W), whose pixels lie in [0, 1], and not vectors."""
    return len(sample_shape) > 1


class Network(nn.Module):
    """Map samples to codes and back. A subclass sets `encoder` and `decoder`.

    `init_args` are the subclass's constructor arguments: together with the class path and the
    weights they are all that is needed to build it again.
    """

    encoder: nn.Module  # (N, *S) -> (N, latent_dim)
    decoder: nn.Module  # (N, latent_dim) -> (N, *S), before the output activation

    def __init__(self, **init_args: Any) -> None:
        super().__init__()
        self.init_args = init_args
        sample_shape, latent_dim = init_args["sample_shape"], init_args["latent_dim"]
        if latent_dim < 1:
            raise Refusal(f"latent_dim is {latent_dim}, but a code needs at least 1 unit.")
        for name in ("hidden", "channels"):
            if min(init_args.get(name) or [1]) < 1:
                raise Refusal(f"{name} is {init_args[name]}, but a layer needs at least 1 unit.")
        self.sample_shape = tuple(sample_shape)
        self.latent_dim = latent_dim
        # Reconstructions pass through a sigmoid: they lie in [0, 1], as pixels do.
        self.bounded = bool(init_args.get("bounded", False))

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes: (N, *S) -> (N, latent_dim)."""
        return self.encoder(x)

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return reconstructions before the output activation: (N, latent_dim) -> (N, *S)."""
        return self.decoder(z)

    def decode(self, z: Tensor) -> Tensor:
        """Return reconstructions: (N, latent_dim) -> (N, *S)."""
        logits = self.decode_logits(z)
        return logits.sigmoid() if self.bounded else logits

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of `x`: (N, *S) -> (N, *S)."""
        return self.decode(self.encode(x))

    def error(self, x: Tensor) -> Tensor:
        """Return the reconstruction error, the mean squared one per element: (N, *S) -> (N,)."""
        return (self(x) - x).square().flatten(1).mean(1)

    def score(self, x: Tensor) -> Tensor:
        """Return how abnormal each sample is, here its error: (N, *S) -> (N,), higher is more."""
        return self.error(x)


class Dense(Network):
    """Stack fully connected layers of widths `hidden` down to the code, and back in reverse.

    Images are flattened. No activation follows the code or the reconstruction.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int] = (),
        activation: Activation = "relu",
        bounded: bool = False,
    ) -> None:
        super().__init__(
            sample_shape=list(sample_shape),
            latent_dim=latent_dim,
            hidden=list(hidden),
            activation=activation,
            bounded=bounded,
        )
        widths = [math.prod(sample_shape), *hidden, latent_dim]
        self.encoder = nn.Sequential(nn.Flatten(), *_dense_layers(widths, activation))
        self.decoder = nn.Sequential(
            *_dense_layers(widths[::-1], activation), nn.Unflatten(1, self.sample_shape)
        )


def _dense_layers(widths: Sequence[int], activation: Activation) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), ACTIVATIONS[activation]()]
    return layers[:-1]


class Convolutional(Network):
    """Halve the side with a strided convolution for each of `channels`, then project to the code.

    Images (C, H, W) of any size take 2-D convolutions, vectors (F,) 1-D ones over one channel; the
    decoder mirrors the encoder with transposed convolutions that restore odd sides exactly.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        bounded: bool = False,
    ) -> None:
        super().__init__(
            sample_shape=list(sample_shape),
            latent_dim=latent_dim,
            channels=list(channels),
            activation=activation,
            bounded=bounded,
        )
        if not channels:
            raise Refusal("channels is empty, but a convolutional network needs at least one.")
        image = self.sample_shape if is_image(sample_shape) else (1, *self.sample_shape)
        sides = [image[1:]]
        for _ in channels:
            sides.append(tuple((side + 1) // 2 for side in sides[-1]))
        deepest = (channels[-1], *sides[-1])
        self.encoder = nn.Sequential(
            nn.Unflatten(1, image) if image != self.sample_shape else nn.Identity(),
            *_down([image[0], *channels], len(image) - 1, activation),
            nn.Flatten(),
            nn.Linear(math.prod(deepest), latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, math.prod(deepest)),
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
