"""Wasserstein autoencoder: a kernel distance pulls the distribution of codes towards N(0, I)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hourglass import networks
from hourglass.models import penalties
from hourglass.models.base import LitAutoencoder
from hourglass.networks.base import require_at_least
from hourglass.networks.prior import GaussianPrior


class Wasserstein(LitAutoencoder):
    """Add the distance of the codes from N(0, I) to the loss (Tolstikhin et al. 2018, WAE-MMD).

    The penalty is mmd_weight * MMD^2(codes of the batch, as many draws from N(0, I)) / D for
    samples of D elements: see `penalties.mmd`. Unlike in `variational`, each code is a point, so
    reconstructions stay sharp, and only the distribution of all codes is pulled towards the prior.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: networks.Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "relu",
        mmd_weight: float = 10.0,
        **training: Any,
    ) -> None:
        require_at_least(0, mmd_weight=mmd_weight)
        layers = architecture, hidden, channels, activation
        super().__init__(GaussianPrior(sample_shape, latent_dim, *layers), **training)
        self.mmd_weight = mmd_weight

    def penalty(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the weighted distance of the codes, (N, latent_dim), from draws of N(0, I)."""
        return self.mmd_weight * penalties.mmd(z, torch.randn_like(z)) / x[0].numel()
