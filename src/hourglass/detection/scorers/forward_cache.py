"""A batch of samples as a network sees it: what several scorers want is computed once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import mse_loss

from hourglass.networks import Network


class once:  # noqa: N801  (it is used as a decorator)
    """Compute a property when it is first asked for.

    As functools.cached_property, which until Python 3.12 lets one thread at a time compute a
    property, of all objects of a class: batches that are scored by several cores wait in line.
    """

    def __init__(self, function: Callable[[Any], Tensor]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type) -> Tensor:
        """Return the value, and put it where the next look finds it instead of this."""
        value = self.function(instance)
        vars(instance)[self.function.__name__] = value
        return value


@dataclass(frozen=True)
class ForwardCache:
    """Give what a network makes of scaled samples, when it is asked for."""

    network: Network
    x: Tensor  # (N, *S), scaled

    @once
    def code(self) -> Tensor:
        """Return the codes, (N, latent_dim)."""
        return self.network.encode(self.x)

    @once
    def output(self) -> Tensor:
        """Return the reconstructions, (N, *S)."""
        return self.network.decode(self.code)

    @once
    def squared_error(self) -> Tensor:
        """Return the squared error of each element, (N, F)."""
        return mse_loss(self.output, self.x, reduction="none").flatten(1)

    @once
    def error(self) -> Tensor:
        """Return the mean squared error per element, (N,)."""
        return self.squared_error.mean(1)

    @once
    def score(self) -> Tensor:
        """Return the network's own score, (N,)."""
        if type(self.network).score is Network.score:  # the error, which is here already
            return self.error
        return self.network.score(self.x)
