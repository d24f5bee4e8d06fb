"""The base class of networks that consist of several members."""

from abc import abstractmethod

from torch import Tensor

from hourglass.networks.base import Network


class Members(Network):
    """A network whose code joins those of its members, and whose outputs average theirs."""

    @abstractmethod
    def member_logits(self, z: Tensor) -> Tensor:
        """Return the outputs of every member before the activation: (N, L) -> (N, members, *S)."""

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return the mean output of the members: (N, latent_dim) -> (N, *S)."""
        return self.member_logits(z).mean(1)
