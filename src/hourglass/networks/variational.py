"""A network whose code is a distribution: codes, likelihoods and samples of a VAE."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.networks.base import Activation, Network, is_image
from hourglass.networks.convolutional import Convolutional
from hourglass.networks.dense import Dense

Likelihood: TypeAlias = Literal["gaussian", "bernoulli"]
Score: TypeAlias = Literal["reconstruction", "elbo", "likelihood"]


class Variational(Network):
    """Encode to q(z given x) = N(mean, exp(log_var)), decode to p(x given z) (Kingma 2014).

    The Bernoulli `likelihood` is that of pixels in [0, 1]; the Gaussian one has a variance that all
    elements share and that is trained with the weights (Rybkin et al. 2021, sigma-VAE). The code of
    a sample is its mean, its reconstruction that mean decoded. `score_by` says what its score is:
    the reconstruction error, the negative ELBO, or the negative log-likelihood by importance
    sampling; the last two from `samples` draws, which are the same for every sample.
    """

    log_variance: Tensor

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        architecture: Literal["dense", "convolutional"] = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        likelihood: Likelihood = "gaussian",
        score_by: Score = "reconstruction",
        samples: int = 16,
        bounded: bool | None = None,
    ) -> None:
        bounded = is_image(sample_shape) if bounded is None else bounded
        super().__init__(
            sample_shape=list(sample_shape),
            latent_dim=latent_dim,
            architecture=architecture,
            hidden=list(hidden),
            channels=list(channels),
            activation=activation,
            likelihood=likelihood,
            score_by=score_by,
            samples=samples,
            bounded=bounded,
        )
        self.likelihood, self.score_by, self.samples = likelihood, score_by, samples
        # The last layer of the encoder gives mean and log-variance side by side.
        if architecture == "dense":
            both: Network = Dense(sample_shape, 2 * latent_dim, hidden, activation)
            decoder: Network = Dense(sample_shape, latent_dim, hidden, activation)
        else:
            both = Convolutional(sample_shape, 2 * latent_dim, channels, activation)
            decoder = Convolutional(sample_shape, latent_dim, channels, activation)
        self.encoder, self.decoder = both.encoder, decoder.decoder
        variance = torch.zeros(())
        if likelihood == "gaussian":
            self.log_variance = nn.Parameter(variance)
        else:
            self.register_buffer("log_variance", variance, persistent=False)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z given x): (N, *S) -> (N, latent_dim) each."""
        mean, log_var = self.encoder(x).chunk(2, 1)
        return mean, log_var

    def encode(self, x: Tensor) -> Tensor:
        """Return the means of the codes: (N, *S) -> (N, latent_dim)."""
        return self.posterior(x)[0]

    def log_p(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return log p(x given z) in nats, from decoded logits: (N, *S), (N, *S) -> (N,)."""
        if self.likelihood == "bernoulli":
            found = functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
            return -found.flatten(1).sum(1)
        output = logits.sigmoid() if self.bounded else logits
        squares = (x - output).square().flatten(1).sum(1)
        constant = x[0].numel() * (math.log(2 * math.pi) + self.log_variance)
        return -0.5 * (squares * (-self.log_variance).exp() + constant)

    def elbo(
        self, x: Tensor, samples: int = 1, beta: float = 1.0, seen: Tensor | None = None
    ) -> Tensor:
        """Return E_q[log p(x given z)] - beta KL(q, N(0, I)) in nats: (N, *S) -> (N,).

        `seen` is what the encoder sees in the place of `x`, where that is corrupted.
        """
        mean, log_var = self.posterior(x if seen is None else seen)
        drawn = [
            self.log_p(x, self.decode_logits(mean + (0.5 * log_var).exp() * each))
            for each in self._draws(samples, mean)
        ]
        return torch.stack(drawn).mean(0) - beta * gaussian_kl(mean, log_var)

    def log_likelihood(self, x: Tensor, samples: int = 200) -> Tensor:
        """Return log p(x) in nats, a lower bound by importance sampling: (N, *S) -> (N,).

        log mean_k p(x given z_k) p(z_k) / q(z_k given x), z_k drawn from q (Burda et al. 2016,
        equation 8): the bound rises to log p(x) with `samples`.
        """
        mean, log_var = self.posterior(x)
        total = torch.full_like(mean[:, 0], -math.inf)
        for each in self._draws(samples, mean):
            z = mean + (0.5 * log_var).exp() * each
            # The normalising constants of p(z) and q(z given x) cancel.
            ratio = 0.5 * (each.square() + log_var - z.square()).sum(1)
            total = torch.logaddexp(total, self.log_p(x, self.decode_logits(z)) + ratio)
        return total - math.log(samples)

    def _draws(self, samples: int, like: Tensor) -> Tensor:
        """Return standard normal draws (samples, 1, latent_dim), or fresh ones (samples, N, ...).

        In training every sample has draws of its own. In evaluation all share the same: a score
        depends on neither the batch nor the hour.
        """
        if self.training:
            return torch.randn(samples, *like.shape, dtype=like.dtype, device=like.device)
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(samples, 1, like.shape[1], dtype=like.dtype, generator=generator)
        return draws.to(like.device)

    def score(self, x: Tensor) -> Tensor:
        """Return how abnormal each sample is, by `score_by`: (N, *S) -> (N,).

        In nats, but for the reconstruction error. The constant of the Gaussian likelihood, which is
        the same for all samples, is left out: so it is not negative but for the error of sampling.
        """
        if self.score_by == "reconstruction":
            return self.error(x)
        found = self.elbo if self.score_by == "elbo" else self.log_likelihood
        return self._constant(x) - found(x, self.samples)

    def _constant(self, x: Tensor) -> Tensor:
        if self.likelihood == "bernoulli":
            return x.new_zeros(())
        return -0.5 * x[0].numel() * (math.log(2 * math.pi) + self.log_variance)

    def generate(self, count: int, seed: int = 0) -> Tensor:
        """Return decoded draws from the prior N(0, I): (count, *S)."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(count, self.latent_dim, generator=generator)
        return self.decode(z.to(self.log_variance.device))


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_var)), N(0, I)) in nats: (N, latent_dim) each -> (N,)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)
