"""Adversarial autoencoder: a discriminator makes the distribution of the codes N(0, I)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.networks.base import require_at_least
from hourglass.networks.prior import GaussianPrior


class Adversarial(LitAutoencoder):
    """Add a penalty for codes that a discriminator tells from N(0, I) (Makhzani et al. 2016).

    The penalty is -adversarial_weight * mean log p(z) / D for samples of D elements; p(z) is the
    discriminator's probability that z is a draw from N(0, I). The discriminator, of hidden layers
    with `discriminator` units, is trained in the same step, on the codes of the batch and as many
    draws. Each side learns from its own loss only: see `penalty`. It is part of the checkpoints of
    the training, but not of the trained network.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: networks.Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "relu",
        adversarial_weight: float = 0.3,
        discriminator: Sequence[int] = (64, 64),
        **training: Any,
    ) -> None:
        require_at_least(0, adversarial_weight=adversarial_weight)
        if min(discriminator, default=1) < 1:
            raise UserError(
                f"discriminator is {list(discriminator)}, but a layer needs at least 1 unit."
            )
        layers = architecture, hidden, channels, activation
        network = GaussianPrior(sample_shape, latent_dim, *layers)
        super().__init__(network, **training)
        self.adversarial_weight = adversarial_weight
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise([latent_dim, *discriminator]):
            modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        last = nn.Linear([latent_dim, *discriminator][-1], 1)
        self.discriminator = nn.Sequential(*modules, last, nn.Flatten(0))

    def penalty(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the weighted penalty of the codes `z`, (N, latent_dim).

        Its value is the encoder's loss, for which the discriminator is constant. It also carries
        the gradient of the discriminator's loss, for which the codes are constant. As Adam scales
        each weight's gradient, one optimizer then equals two.
        """
        constants = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        logits = functional_call(self.discriminator, constants, (z,))
        loss = self.adversarial_weight * functional.softplus(-logits).mean() / x[0].numel()
        own = self.discriminator_loss(z.detach(), torch.randn_like(z))
        return loss + own - own.detach()

    def discriminator_loss(self, z: Tensor, prior: Tensor) -> Tensor:
        """Return the cross-entropy of telling codes from draws of the prior, (N, latent_dim)."""
        of_codes, of_draws = self.discriminator(torch.cat([z, prior])).chunk(2)
        return (functional.softplus(of_codes) + functional.softplus(-of_draws)).mean() / 2
