"""Several dense networks of the same size, computed in one batched pass."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.base import ACTIVATIONS, Activation, EnsembleNetwork, constructor_arguments
from hourglass.networks.heads import FillMissing, TableHeads


class Ensemble(EnsembleNetwork):
    """A number of dense networks, each with one hidden layer as wide as its code.

    The code joins those of all `members`, so a member has latent_dim / members units. The
    reconstruction is the mean of theirs. The weights of all members are one tensor per layer, so
    that a layer is one batched product.

    `connectivity` is the share of connections between layers that exist. The missing ones are drawn
    at random for each member and stay missing (Chen et al. 2017, RandNet, section 3.1).
    Raises a UserError if `members` does not divide latent_dim, or for a share outside (0, 1].
    """

    encoder: "Encoders"
    decoder: "Decoders"

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        members: int = 4,
        activation: Activation = "relu",
        bounded: bool = False,
        connectivity: float = 1.0,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
        if members < 1 or latent_dim % members:
            raise UserError(f"members is {members}, but must divide latent_dim, {latent_dim}.")
        if not 0 < connectivity <= 1:
            raise UserError(f"connectivity is {connectivity}, but must be above 0 and at most 1.")
        size, width = math.prod(sample_shape), latent_dim // members
        # Drawn member by member, so that a member starts as a dense network with the same seed.
        sizes = [(size, width), (width, width), (width, width), (width, size)]
        drawn = [[nn.Linear(*pair) for pair in sizes] for _ in range(members)]
        layers = [BatchedLinear(layer, connectivity) for layer in zip(*drawn, strict=True)]
        function = ACTIVATIONS[activation]
        self.encoder = Encoders(sample_shape, layers[:2], function())
        self.decoder = Decoders(sample_shape, layers[2:], function())

    def use_heads(self, heads: TableHeads) -> None:
        """Set the heads, and let the encoder fill missing cells."""
        self.heads = heads
        self.encoder.inputs = FillMissing(heads, self.encoder.inputs)

    def member_logits(self, z: Tensor) -> Tensor:
        """Return the outputs of every member before the activation: (N, L) -> (N, members, *S)."""
        codes = z.unflatten(1, (self.init_args["members"], -1)).transpose(0, 1)
        return self.decoder(codes).transpose(0, 1)


class BatchedLinear(nn.Module):
    """A dense layer of every member, computed as one batched product.

    `layers` has the initial weights of each member. With `connectivity` below 1, connections are
    left out at random: their weights are 0 and have no gradient.
    """

    connected: Tensor | None  # (members, in, out) bool

    def __init__(self, layers: Sequence[nn.Linear], connectivity: float = 1.0) -> None:
        super().__init__()
        weight = torch.stack([layer.weight.detach().T for layer in layers])
        connected = torch.rand_like(weight) < connectivity if connectivity < 1 else None
        self.register_buffer("connected", connected)
        weight = weight if connected is None else weight * connected
        self.weight = nn.Parameter(weight.contiguous())  # (members, in, out)
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers])[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return x W + b of every member: (members, N, in), or (N, in) -> (members, N, out)."""
        weight: Tensor = self.weight
        if self.connected is not None and torch.is_grad_enabled():
            weight = weight * self.connected  # masks the gradient; the weights are 0 already
        return torch.baddbmm(self.bias, x.expand(weight.shape[0], *x.shape[-2:]), weight)


class Encoders(nn.Module):
    """The encoders of all members, each of a hidden layer and a code."""

    def __init__(
        self, sample_shape: Sequence[int], layers: Sequence[BatchedLinear], function: nn.Module
    ) -> None:
        super().__init__()
        self.inputs: nn.Module = nn.Flatten(-len(sample_shape))
        self.layers = nn.Sequential(layers[0], function, layers[1])

    def members(self, x: Tensor) -> Tensor:
        """Return the codes of every member: (N, *S), or (members, N, *S) -> (members, N, width)."""
        codes: Tensor = self.layers(self.inputs(x))
        return codes

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined codes: (N, *S) -> (N, members * width)."""
        return self.members(x).transpose(0, 1).flatten(1)


class Decoders(nn.Module):
    """The decoders of all members, each of a hidden layer and an output."""

    def __init__(
        self, sample_shape: Sequence[int], layers: Sequence[BatchedLinear], function: nn.Module
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            layers[0], function, layers[1], nn.Unflatten(-1, tuple(sample_shape))
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Return the outputs of every member: (members, N, width) -> (members, N, *S)."""
        outputs: Tensor = self.layers(codes)
        return outputs
