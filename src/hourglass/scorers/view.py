"""A batch of samples as a network sees it: what several scorers want is computed once."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.nn.functional import mse_loss

from hourglass.networks import Network


@dataclass(frozen=True)
class View:
    """Give what a network makes of scaled samples, when it is asked for."""

    network: Network
    x: Tensor  # (N, *S), scaled

    @cached_property
    def code(self) -> Tensor:
        """Return the codes, (N, latent_dim)."""
        return self.network.encode(self.x)

    @cached_property
    def output(self) -> Tensor:
        """Return the reconstructions, (N, *S)."""
        return self.network.decode(self.code)

    @cached_property
    def squared_error(self) -> Tensor:
        """Return the squared error of each element, (N, F)."""
        return mse_loss(self.output, self.x, reduction="none").flatten(1)

    @cached_property
    def error(self) -> Tensor:
        """Return the mean squared error per element, (N,)."""
        return self.squared_error.mean(1)

    @cached_property
    def score(self) -> Tensor:
        """Return the network's own score, (N,)."""
        if type(self.network).score is Network.score:  # the error, which is here already
            return self.error
        return self.network.score(self.x)
