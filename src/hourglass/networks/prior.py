"""Networks whose codes have a known distribution, the prior, from which samples are generated."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hourglass.networks import Architecture, make
from hourglass.networks.base import Activation, Network, constructor_arguments, is_image


class PriorNetwork(Network):
    """A network that generates samples: it draws codes from a prior and decodes them.

    The prior is N(0, I), unless a subclass draws codes from another one.
    """

    def draw_codes(self, count: int, seed: int = 0) -> Tensor:
        """Return draws from the prior: (count, latent_dim)."""
        drawn = np.random.default_rng(seed).standard_normal((count, self.latent_dim), np.float32)
        return torch.from_numpy(drawn)

    def generate(self, count: int, seed: int = 0) -> Tensor:
        """Return decoded draws from the prior: (count, *S)."""
        return self.decode(self.draw_codes(count, seed).to(next(self.parameters()).device))


class GaussianPrior(PriorNetwork):
    """A deterministic autoencoder, whose training makes the distribution of its codes N(0, I)."""

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        architecture: Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        bounded: bool | None = None,
    ) -> None:
        bounded = is_image(sample_shape) if bounded is None else bounded
        super().__init__(**constructor_arguments(locals()))
        layers = make(
            architecture, sample_shape, latent_dim, hidden, channels, activation=activation
        )
        self.encoder, self.decoder = layers.encoder, layers.decoder
