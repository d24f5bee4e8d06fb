"""What all networks share: codes, reconstructions, errors and scores."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hourglass.core.errors import UserError

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
HIDDEN = tuple(set(ACTIVATIONS.values()) - {nn.Identity})


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
            raise UserError(f"latent_dim is {latent_dim}, but a code needs at least 1 unit.")
        for name in ("hidden", "channels"):
            if min(init_args.get(name) or [1]) < 1:
                raise UserError(f"{name} is {init_args[name]}, but a layer needs at least 1 unit.")
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

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the input, the encoder's hidden units layer by layer, and the code: (N, ...) each.

        An encoder that is no chain of layers has no hidden ones here.
        """
        found, z = [x.flatten(1)], x
        # The first layer only shapes the input, the last only follows the code.
        for layer in self.encoder[:-1] if isinstance(self.encoder, nn.Sequential) else ():
            z = layer(z)
            if isinstance(layer, HIDDEN):
                found.append(z.flatten(1))
        return [*found, self.encode(x)]

    @cached_property
    def widest(self) -> int:
        """Return how many elements the largest thing is that is made of a sample on its way."""
        x = next(self.parameters()).new_zeros(1, *self.sample_shape)
        with torch.inference_mode(), _Largest() as largest:
            self(x)
        return max(x.numel(), largest.elements)

    def error(self, x: Tensor) -> Tensor:
        """Return the reconstruction error, the mean squared one per element: (N, *S) -> (N,)."""
        return (self(x) - x).square().flatten(1).mean(1)

    def score(self, x: Tensor) -> Tensor:
        """Return how abnormal each sample is, here its error: (N, *S) -> (N,), higher is more."""
        return self.error(x)


class _Largest(TorchFunctionMode):
    """Note the size of the largest tensor that a function of torch returns in this thread."""

    elements = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.elements = max(self.elements, made.numel())
        return made
