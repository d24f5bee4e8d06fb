"""Fully connected encoders and decoders."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hourglass.networks.base import ACTIVATIONS, Activation, Network
from hourglass.networks.onednn_linear import Linear, linear


class Dense(Network):
    """Stack fully connected layers of widths `hidden` down to the code, and back in reverse.

    Images are flattened. `code_activation` follows the code, none the reconstruction. Where the
    weights are `tied`, each layer of the decoder is the transpose of its encoder's: W' = W^T, with
    a bias of its own.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int] = (),
        activation: Activation = "relu",
        code_activation: Activation = "identity",
        tied: bool = False,
        bounded: bool = False,
    ) -> None:
        super().__init__(
            sample_shape=list(sample_shape),
            latent_dim=latent_dim,
            hidden=list(hidden),
            activation=activation,
            code_activation=code_activation,
            tied=tied,
            bounded=bounded,
        )
        widths = [math.prod(sample_shape), *hidden, latent_dim]
        down = [Linear(*pair) for pair in pairwise(widths)]
        up = [Transposed(each) if tied else Linear(*_back(each)) for each in reversed(down)]
        self.encoder = nn.Sequential(
            nn.Flatten(), *_between(down, activation), _activation(code_activation)
        )
        self.decoder = nn.Sequential(*_between(up, activation), nn.Unflatten(1, self.sample_shape))


class Rectifier(nn.ReLU):
    """Be torch's rectifier, in place where nothing is differentiated.

    It stands behind a dense layer, and nobody else wants what that made: memory that is not taken
    need not be touched.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return max(x, 0), of the shape of `x`."""
        return super().forward(x) if torch.is_grad_enabled() else x.relu_()


class Transposed(nn.Module):
    """Apply the transpose of another layer's weight, and a bias of its own."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        # In a tuple: the weight belongs to the encoder alone, and is saved once.
        self.of = (layer,)
        self.bias = nn.Parameter(layer.weight.new_zeros(layer.in_features))

    def forward(self, z: Tensor) -> Tensor:
        """Return z W + b: (N, out_features of `layer`) -> (N, its in_features)."""
        return linear(z, self.of[0].weight.T, self.bias)


def _back(layer: nn.Linear) -> tuple[int, int]:
    return layer.out_features, layer.in_features


def _between(layers: Sequence[nn.Module], activation: Activation) -> list[nn.Module]:
    """Return the layers with an activation between each two."""
    found: list[nn.Module] = []
    for layer in layers:
        found += [layer, _activation(activation)]
    return found[:-1]


def _activation(name: Activation) -> nn.Module:
    return Rectifier() if name == "relu" else ACTIVATIONS[name]()
