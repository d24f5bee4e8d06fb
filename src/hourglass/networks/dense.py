"""Fully connected encoders and decoders."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hourglass.networks.base import ACTIVATIONS, Activation, Network
from hourglass.networks.onednn_linear import Linear, linear


class Dense(Network):
    """Encode with fully connected layers of widths `hidden`, decode with the reverse.

    Images are flattened. `code_activation` follows the code; the reconstruction has none. If the
    weights are `tied`, each decoder layer is the transpose of its encoder layer, W' = W^T, with a
    separate bias.
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
        up = [
            Transposed(each) if tied else Linear(each.out_features, each.in_features)
            for each in reversed(down)
        ]
        self.encoder = nn.Sequential(
            nn.Flatten(), *_between(down, activation), _activation(code_activation)
        )
        self.decoder = nn.Sequential(*_between(up, activation), nn.Unflatten(1, self.sample_shape))


class Rectifier(nn.ReLU):
    """torch's ReLU, computed in place if no gradient is needed.

    It follows a dense layer whose output has no other use, so no memory is allocated.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return max(x, 0), of the shape of `x`."""
        return super().forward(x) if torch.is_grad_enabled() else x.relu_()


class Transposed(nn.Module):
    """A dense layer with the transpose of another layer's weight and a separate bias."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        # In a tuple, so that torch registers the weight once, as the encoder's.
        self.encoder_layer = (layer,)
        self.bias = nn.Parameter(layer.weight.new_zeros(layer.in_features))

    def forward(self, z: Tensor) -> Tensor:
        """Return z W + b: (N, out_features of the encoder layer) -> (N, its in_features)."""
        return linear(z, self.encoder_layer[0].weight.T, self.bias)


def _between(layers: Sequence[nn.Module], activation: Activation) -> list[nn.Module]:
    """Return the layers with an activation between consecutive ones."""
    modules: list[nn.Module] = []
    for layer in layers:
        modules += [layer, _activation(activation)]
    return modules[:-1]


def _activation(name: Activation) -> nn.Module:
    return Rectifier() if name == "relu" else ACTIVATIONS[name]()
