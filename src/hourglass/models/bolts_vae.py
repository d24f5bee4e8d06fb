"""The variational autoencoder of lightning-bolts: ResNet encoder and decoder, Gaussian code."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from hourglass.models.base import LitAutoencoder
from hourglass.networks.base import require_at_least
from hourglass.networks.bolts import Bolts
from hourglass.networks.variational import gaussian_kl


class BoltsVAE(LitAutoencoder):
    """Minimise the loss of pl_bolts.models.autoencoders.VAE.

    The loss is the mean squared error for one random draw of the code, plus `kl_coeff` times the KL
    divergence from N(0, I), averaged over samples and units of the code.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 256,
        enc_type: Literal["resnet18", "resnet50"] = "resnet18",
        kl_coeff: float = 0.1,
        **training: Any,
    ) -> None:
        require_at_least(0, kl_coeff=kl_coeff)
        super().__init__(Bolts(sample_shape, latent_dim, "VAE", enc_type), **training)
        self.kl_coeff = kl_coeff

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the loss of clean inputs, (N, *S)."""
        network: Bolts = self.network  # type: ignore[assignment]
        mean, log_var = network.posterior(self.corrupt(x))
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        kl = gaussian_kl(mean, log_var).mean() / mean.shape[1]
        return self.reconstruction_loss(x, z) + self.kl_coeff * kl
