"""Several dense networks of the same size, as one network."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.base import Activation, Network, constructor_arguments
from hourglass.networks.dense import Dense
from hourglass.networks.heads import FillMissing, TableHeads


class Ensemble(Network):
    """A number of dense networks, each with one hidden layer as wide as its code.

    The code joins those of all `members`, so a member has latent_dim / members units. The
    reconstruction is the mean of theirs. Raises a UserError if the members do not divide the code.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        members: int = 4,
        activation: Activation = "relu",
        bounded: bool = False,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
        if members < 1 or latent_dim % members:
            raise UserError(f"members is {members}, but must divide latent_dim, {latent_dim}.")
        width = latent_dim // members
        networks = [Dense(sample_shape, width, [width], activation) for _ in range(members)]
        self.encoder = Encoders(network.encoder for network in networks)
        self.decoder = Decoders(network.decoder for network in networks)

    def use_heads(self, heads: TableHeads) -> None:
        """Let every member fill missing cells."""
        self.heads = heads
        for member in self.encoder.children():
            assert isinstance(member, nn.Sequential)
            member[0] = FillMissing(heads, member[0])


class Encoders(nn.ModuleList):
    """The encoders of all members: their codes are joined."""

    def __init__(self, encoders: Iterable[nn.Module]) -> None:
        super().__init__(encoders)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes: (N, *S) -> (N, members * width)."""
        return torch.cat([encoder(x) for encoder in self], 1)


class Decoders(nn.ModuleList):
    """The decoders of all members: their outputs are averaged."""

    def __init__(self, decoders: Iterable[nn.Module]) -> None:
        super().__init__(decoders)

    def members(self, z: Tensor) -> Tensor:
        """Return the output of every member: (N, members * width) -> (members, N, *S)."""
        codes = z.chunk(len(self), 1)
        return torch.stack([decoder(code) for decoder, code in zip(self, codes, strict=True)])

    def forward(self, z: Tensor) -> Tensor:
        """Return the mean output: (N, members * width) -> (N, *S)."""
        return self.members(z).mean(0)
