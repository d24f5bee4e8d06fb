"""Undercomplete autoencoder: the latent code has fewer elements than the input."""

import math
from collections.abc import Sequence
from typing import Any

from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Activation, Dense, is_image


class Undercomplete(LitAutoencoder):
    """Minimise the reconstruction loss through a bottleneck of `latent_dim` units.

    Raises a UserError if latent_dim is not below the number of elements of a sample.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        hidden: Sequence[int] = (128,),
        activation: Activation = "relu",
        tied: bool = False,
        **training: Any,
    ) -> None:
        size = math.prod(sample_shape)
        if latent_dim >= size:
            raise UserError(
                f"latent_dim is {latent_dim}, but undercomplete needs a code narrower than the "
                f"{size} elements of a sample; lower it."
            )
        network = Dense(
            sample_shape, latent_dim, hidden, activation, tied=tied, bounded=is_image(sample_shape)
        )
        super().__init__(network, **training)
