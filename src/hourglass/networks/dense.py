"""Fully connected encoders and decoders."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hourglass.networks.base import ACTIVATIONS, Activation, Network, constructor_arguments
from hourglass.networks.onednn_linear import Linear, linear


class Dense(Network):
    """An encoder of fully connected layers with widths `hidden`, and a decoder with the reverse.

    Images are flattened. `code_activation` is applied to the code; the output layer has no
    activation. If `tied`, each decoder layer uses the transposed weight of its encoder layer,
    W' = W^T, and a separate bias.
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
        super().__init__(**constructor_arguments(locals()))
        widths = [math.prod(sample_shape), *hidden, latent_dim]
        layers = [Linear(*pair) for pair in pairwise(widths)]
        encoder: list[nn.Module] = [nn.Flatten()]
        for layer in layers:
            encoder += [layer, _activation(activation)]
        decoder: list[nn.Module] = []
        for layer in reversed(layers):
            mirror = Transposed(layer) if tied else Linear(layer.out_features, layer.in_features)
            decoder += [mirror, _activation(activation)]
        # The last activation gives way to that of the code, and to the shape of the sample.
        self.encoder = nn.Sequential(*encoder[:-1], _activation(code_activation))
        self.decoder = nn.Sequential(*decoder[:-1], nn.Unflatten(1, self.sample_shape))


class InPlaceReLU(nn.ReLU):
    """A ReLU that works in place if no gradient is needed, which saves memory.

    It may overwrite its input, because nothing else uses the output of a dense layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return max(x, 0): (N, ...) -> (N, ...)."""
        return super().forward(x) if torch.is_grad_enabled() else x.relu_()


class Transposed(nn.Module):
    """A dense layer with the transpose of another layer's weight and a separate bias."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        # A tuple, so that torch does not register the weight a second time.
        self.encoder_layer = (layer,)
        self.bias = nn.Parameter(layer.weight.new_zeros(layer.in_features))

    def forward(self, z: Tensor) -> Tensor:
        """Return z W + b: (N, out_features of the encoder layer) -> (N, its in_features)."""
        return linear(z, self.encoder_layer[0].weight.T, self.bias)


def _activation(name: Activation) -> nn.Module:
    return InPlaceReLU() if name == "relu" else ACTIVATIONS[name]()
