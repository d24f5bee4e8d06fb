"""Variational autoencoder with a weight on the total correlation of the units of the code."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hourglass import networks
from hourglass.models.base import LitAutoencoder
from hourglass.models.losses import ElementLoss, likelihood_of
from hourglass.networks.base import require_at_least
from hourglass.networks.variational import Score, Variational, gaussian_kl


class BetaTC(LitAutoencoder):
    """Maximise the ELBO with a weight `beta` on the total correlation (Chen et al. 2018).

    The mean KL term of the ELBO is the sum of the mutual information of sample and code, the total
    correlation of the code's units, and the divergence of each unit from N(0, 1). A weight on the
    total correlation makes units independent, at a lower cost for the reconstruction than a weight
    on all three, as in `variational`. The training loss is in nats per element of a sample.

    `loss`, `score_by` and `samples` are those of `variational`.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: networks.Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "relu",
        beta: float = 2.0,
        score_by: Score = "reconstruction",
        samples: int = 16,
        loss: ElementLoss = "mse",
        **training: Any,
    ) -> None:
        require_at_least(0, beta=beta)
        require_at_least(1, samples=samples)
        layers = architecture, hidden, channels, activation
        network = Variational(
            sample_shape, latent_dim, *layers, likelihood_of(loss), score_by, samples
        )
        super().__init__(network, loss=loss, **training)
        self.beta = beta
        self.train_samples = 0  # over all processes

    def on_train_start(self) -> None:
        """Store the number of training samples, on which the estimate depends."""
        loader: Any = self.trainer.train_dataloader
        self.train_samples = getattr(loader, "samples", None) or len(loader.dataset)

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the mean negative weighted ELBO of clean inputs, (N, *S), in nats per element."""
        network: Variational = self.network  # type: ignore[assignment]
        mean, log_var = network.posterior(self.corrupt(x))
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        _, correlation, _ = kl_terms(z, mean, log_var, self.train_samples)
        # The closed form of the three terms' sum varies less than their estimates.
        kl = gaussian_kl(mean, log_var) + (self.beta - 1) * correlation
        return (kl - network.log_p(x, network.decode_logits(z))).mean() / x[0].numel()


def kl_terms(
    z: Tensor, mean: Tensor, log_var: Tensor, train_samples: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate the terms of the KL divergence of q(z given x) from N(0, I) in nats, (N,) each.

    They are the mutual information of sample and code, the total correlation of the units and the
    divergence of the units from N(0, 1). `z`, (N, latent_dim), are draws from the posteriors with
    `mean` and `log_var`, (N, latent_dim) each. The three terms add up to
    log q(z given x) - log p(z).

    q(z), the mean of q(z given x) over all training samples, is estimated from the batch. The
    sample of z, which is always in the batch, has the weight 1 / train_samples; the others share
    the rest. This is the mean of Chen et al.'s minibatch stratified sampling (appendix C.2) over
    the sample that it weights otherwise. It is exact if the batch holds all training samples.
    """
    count = len(z)
    # (N, N, latent_dim): log q(z_i given x_k) of each unit
    densities = log_normal(z[:, None], mean, log_var)
    own = 1 / max(train_samples, count) if count > 1 else 1.0  # no others to share the rest
    weights = z.new_full((count, count), (1 - own) / max(count - 1, 1)).fill_diagonal_(own)
    log_weights = weights.log()
    log_q = (densities.sum(2) + log_weights).logsumexp(1)
    log_q_units = (densities + log_weights[:, :, None]).logsumexp(1).sum(1)
    log_q_given_x = log_normal(z, mean, log_var).sum(1)
    log_prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
    return log_q_given_x - log_q, log_q - log_q_units, log_q_units - log_prior


def log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return log N(z; mean, exp(log_var)) of each element."""
    squares = (z - mean).square() * (-log_var).exp()
    return -0.5 * (squares + log_var + math.log(2 * math.pi))
