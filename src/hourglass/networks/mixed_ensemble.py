"""Several networks of different classes as one network."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.base import EnsembleNetwork, Network
from hourglass.networks.heads import TableHeads
from hourglass.networks.weights import build


class MixedEnsemble(EnsembleNetwork):
    """Join the codes of different networks, and average their outputs before the activation.

    `members` describes them, see `weights.describe`; `latent_dim` follows from them. Raises a
    UserError if a member does not reconstruct samples of this shape in this range.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        members: list[dict[str, Any]],
        bounded: bool = False,
        latent_dim: int | None = None,
    ) -> None:
        networks = [build(member) for member in members]
        for network in networks:
            if network.target_shape != tuple(sample_shape) or network.bounded != bounded:
                raise UserError(
                    f"a member of the ensemble, {type(network).__name__}, reconstructs other "
                    "values than the samples; name another variant."
                )
        widths = [math.prod(network.code_shape) for network in networks]
        super().__init__(
            sample_shape=list(sample_shape),
            members=members,
            bounded=bounded,
            latent_dim=sum(widths),
        )
        self.widths = widths
        self.networks = nn.ModuleList(networks)

    @property
    def members(self) -> list[Network]:
        """The networks of the members."""
        return [network for network in self.networks if isinstance(network, Network)]

    def use_heads(self, heads: TableHeads) -> None:
        """Set the heads of all members, which fill missing cells."""
        self.heads = heads
        for member in self.members:
            member.use_heads(heads)

    def encode(self, x: Tensor) -> Tensor:
        """Return the joined codes: (N, *S) -> (N, latent_dim)."""
        return torch.cat([member.encode_flat(x) for member in self.members], 1)

    def member_logits(self, z: Tensor) -> Tensor:
        """Return the outputs of every member before the activation: (N, L) -> (N, members, *S)."""
        pairs = zip(self.members, z.split(self.widths, 1), strict=True)
        logits = [
            member.decode_logits(code.unflatten(1, member.code_shape)) for member, code in pairs
        ]
        return torch.stack(logits, 1)
