"""Outputs of one layer of any network, by the layer's name."""

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.core.suggestions import nearest_name

# Of the vectors of one input: their mean, or all of them.
Positions: TypeAlias = Literal["mean", "all"]
MAX_NAMES_SHOWN = 40


class ImageModel(nn.Module):
    """A network of torchvision or timm for images, (N, 1 or 3, H, W) in [0, 1].

    Grey images are repeated over three channels, resized to `size` unless it is None, and
    normalised by `mean` and `std`, those of the training of the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        size: int | None = None,
    ) -> None:
        super().__init__()
        self.network, self.size = network.eval(), size
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Any:
        """Return the output of the network."""
        if self.size is not None:
            images = nn.functional.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=True
            )
        return self.network((images.expand(-1, 3, -1, -1) - self.mean) / self.std)


class _ReachedError(Exception):
    """The layer has run, and the following ones need not."""


class LayerOutputs(nn.Module):
    """Map inputs of `network` to the output of one of its layers, without running later layers.

    `layer` is a name as of `named_modules()`. If the layer runs several times, it is its first
    output. Raises a UserError, with the names of the network's layers, for an unknown one.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        named = network.network if isinstance(network, ImageModel) else network
        modules = {name: module for name, module in named.named_modules() if name}
        if layer not in modules:
            near = nearest_name(layer, modules)
            hint = f"did you mean {near!r}? " if near else ""
            names = list(modules)
            more = f" and {len(names) - MAX_NAMES_SHOWN} more" * (len(names) > MAX_NAMES_SHOWN)
            raise UserError(
                f"layer is {layer!r}, which the network does not have; {hint}available: "
                f"{', '.join(names[:MAX_NAMES_SHOWN])}{more}."
            )
        self.network, self.layer = network, layer
        self._found: Any = None
        modules[layer].register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._found = output
        raise _ReachedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the layer, (N, ...), for a batch of inputs, (N, *S)."""
        try:
            self.network(x)
        except _ReachedError:
            output, self._found = self._found, None
        else:
            raise UserError(f"layer {self.layer!r} does not run for such inputs; name another.")
        if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
            output = output[0]  # as of attention: the values, then the weights
        if not isinstance(output, Tensor) or len(output) != len(x) or not 2 <= output.ndim <= 4:
            found = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UserError(
                f"the output of layer {self.layer!r} for {len(x)} inputs is {found}, not (N, D), "
                "(N, T, D) or (N, C, H, W); name another layer."
            )
        return output


def vectors(output: Tensor, positions: Positions) -> Tensor:
    """Return the vectors of a layer's output: (N, D), (N, T, D) or (N, C, H, W) -> (n, D).

    Tokens, T, and positions of feature maps, H * W, give a vector each; those of an input follow
    each other, or are averaged.
    """
    if output.ndim == 2:
        return output
    tokens = output.flatten(2).transpose(1, 2) if output.ndim == 4 else output
    return tokens.mean(1) if positions == "mean" else tokens.flatten(0, 1)
