"""Networks: torch modules without Lightning, so that inference does not import it.

May import: core.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from hourglass.core.errors import UserError
from hourglass.networks.base import ACTIVATIONS, Activation, Network, is_image, is_series
from hourglass.networks.convolutional import Convolutional
from hourglass.networks.dense import Dense

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Architecture",
    "Convolutional",
    "Dense",
    "Network",
    "is_image",
    "is_series",
    "make",
]

Architecture: TypeAlias = Literal["dense", "convolutional"]


def make(
    architecture: Architecture,
    sample_shape: Sequence[int],
    latent_dim: int,
    hidden: Sequence[int] = (128,),
    channels: Sequence[int] = (16, 32),
    tied: bool = False,
    **layers: Any,
) -> Network:
    """Return a dense or convolutional network.

    `hidden` and `tied` apply to dense networks, `channels` to convolutional ones. Reconstructions
    of images pass through a sigmoid. Raises a UserError if a convolutional network is tied.
    """
    bounded = is_image(sample_shape)
    if architecture == "dense":
        return Dense(sample_shape, latent_dim, hidden, tied=tied, bounded=bounded, **layers)
    if tied:
        raise UserError(
            "tied is true, but only the weights of dense networks can be tied; set it to false."
        )
    return Convolutional(sample_shape, latent_dim, channels, bounded=bounded, **layers)
