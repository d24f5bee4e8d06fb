"""The network of a quantised autoencoder: codes from a finite set, their bits and their prior."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks import Architecture, make
from hourglass.networks.autoregressive import AutoregressivePrior
from hourglass.networks.base import (
    Activation,
    constructor_arguments,
    is_image,
    require_at_least,
)
from hourglass.networks.prior import PriorNetwork
from hourglass.networks.quantisers import CodeNorm, FiniteScalar, Quantiser, VectorQuantiser

Quantisation: TypeAlias = Literal["fsq", "vq"]


class Quantised(PriorNetwork):
    """Encode to codes of a finite set, decode these.

    `quantisation` "fsq" rounds each unit to one of `levels` values. "vq" replaces each part of
    `code_size` units by the nearest of the `codebook` vectors of its position. A code is the vector
    of these values, (N, latent_dim); its indices say which ones. `prior_width` is the number of
    hidden units of the prior, from which `generate` draws codes.

    Raises a UserError if `code_size` does not divide `latent_dim`, or for fewer than 2 values.
    """

    quantiser: Quantiser

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        architecture: Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        quantisation: Quantisation = "fsq",
        levels: int = 8,
        codebook: int = 64,
        code_size: int = 4,
        prior_width: int = 256,
        bounded: bool | None = None,
    ) -> None:
        bounded = is_image(sample_shape) if bounded is None else bounded
        super().__init__(**constructor_arguments(locals()))
        require_at_least(1, prior_width=prior_width)
        if quantisation not in ("fsq", "vq"):
            raise UserError(f"quantisation is {quantisation!r}; give 'fsq' or 'vq'.")
        layers = make(
            architecture, sample_shape, latent_dim, hidden, channels, activation=activation
        )
        assert isinstance(layers.encoder, nn.Sequential)
        self.encoder = nn.Sequential(*layers.encoder, CodeNorm(latent_dim))
        self.decoder = layers.decoder
        if quantisation == "fsq":
            self.quantiser = FiniteScalar(latent_dim, levels)
        else:
            self.quantiser = VectorQuantiser(latent_dim, codebook, code_size)
        self.prior = AutoregressivePrior(
            latent_dim, self.quantiser.positions, self.quantiser.size, prior_width
        )

    @property
    def bits(self) -> float:
        """The bits of a code: log2 of the number of possible codes."""
        return self.quantiser.positions * math.log2(self.quantiser.size)

    def encode(self, x: Tensor) -> Tensor:
        """Return the quantised codes: (N, *S) -> (N, latent_dim)."""
        return self.quantiser(self.encoder(x))

    def indices(self, x: Tensor) -> Tensor:
        """Return the indices of the codes of samples: (N, *S) -> (N, positions) int64."""
        return self.quantiser.indices(self.quantiser.bound(self.encoder(x)))

    def prior_bits(self, x: Tensor) -> Tensor:
        """Return the bits of each sample's code under the prior: (N, *S) -> (N,)."""
        indices = self.indices(x)
        return self.prior.bits(self.quantiser.values(indices), indices)

    def draw_codes(self, count: int, seed: int = 0) -> Tensor:
        """Return draws from the prior, position by position: (count, latent_dim)."""
        generator = torch.Generator().manual_seed(seed)
        device = next(self.parameters()).device
        indices = torch.zeros(count, self.quantiser.positions, dtype=torch.int64, device=device)
        for position in range(self.quantiser.positions):
            values = self.quantiser.values(indices)
            indices[:, position] = self.prior.draw(position, values, generator)
        return self.quantiser.values(indices)
