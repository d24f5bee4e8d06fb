"""Overcomplete autoencoder: the code is wider than the input."""

import math
from collections.abc import Sequence
from typing import Any

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder


class Overcomplete(LitAutoencoder):
    """Minimise the denoising loss of a code with `expansion` units per element of a sample.

    Such a wide code could copy its input; noise prevents copying (Vincent et al. 2008, section
    4.1). Raises a UserError if the code is not wider than a sample, or if there is no noise.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        expansion: float = 1.5,
        hidden: Sequence[int] = (),
        activation: networks.Activation = "relu",
        code_activation: networks.Activation = "relu",
        tied: bool = False,
        noise_factor: float = 0.3,
        masking: float = 0.0,
        **training: Any,
    ) -> None:
        if not expansion > 1:
            raise UserError(f"expansion is {expansion}, but overcomplete needs more than 1.")
        if not (noise_factor or masking or training.get("salt_and_pepper")):
            raise UserError(
                "noise_factor, masking and salt_and_pepper are 0, but an overcomplete code needs "
                "noise; set one of them above 0."
            )
        latent_dim = math.ceil(expansion * math.prod(sample_shape))
        bounded = networks.is_image(sample_shape)
        network = networks.Dense(
            sample_shape, latent_dim, hidden, activation, code_activation, tied, bounded
        )
        super().__init__(network, noise_factor=noise_factor, masking=masking, **training)
