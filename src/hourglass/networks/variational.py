"""The network of a variational autoencoder: posterior, likelihood, ELBO and samples."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.networks import Architecture, make
from hourglass.networks.base import Activation, constructor_arguments, is_image
from hourglass.networks.prior import PriorNetwork

Likelihood: TypeAlias = Literal["gaussian", "bernoulli"]
Score: TypeAlias = Literal["reconstruction", "elbo", "likelihood"]


class Variational(PriorNetwork):
    """Encode to q(z given x) = N(mean, exp(log_var)), decode to p(x given z) (Kingma 2014).

    The Bernoulli `likelihood` is for pixels in [0, 1]. The Gaussian one has one variance, shared by
    all elements and trained with the weights (Rybkin et al. 2021, sigma-VAE). The code of a sample
    is the posterior mean; its reconstruction is the decoded mean. `score_by` selects the score: the
    reconstruction error, the negative ELBO, or the negative log-likelihood by importance sampling.
    ELBO and likelihood use `samples` draws, the same for every sample. `bounded` limits
    reconstructions to [0, 1] by a sigmoid; by default, those of images.
    """

    log_variance: Tensor

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        architecture: Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        likelihood: Likelihood = "gaussian",
        score_by: Score = "reconstruction",
        samples: int = 16,
        bounded: bool | None = None,
    ) -> None:
        bounded = is_image(sample_shape) if bounded is None else bounded
        super().__init__(**constructor_arguments(locals()))
        self.likelihood, self.score_by, self.samples = likelihood, score_by, samples
        # The encoder's last layer returns mean and log-variance, concatenated.
        encoder, decoder = (
            make(architecture, sample_shape, width, hidden, channels, activation=activation)
            for width in (2 * latent_dim, latent_dim)
        )
        self.encoder, self.decoder = encoder.encoder, decoder.decoder
        if likelihood == "gaussian":
            self.log_variance = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("log_variance", torch.zeros(()), persistent=False)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z given x): (N, *S) -> (N, latent_dim) each."""
        mean, log_var = self.encoder(x).chunk(2, 1)
        return mean, log_var

    def encode(self, x: Tensor) -> Tensor:
        """Return the posterior means: (N, *S) -> (N, latent_dim)."""
        return self.posterior(x)[0]

    def log_p(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return log p(x given z) in nats, from decoded logits: (N, *S), (N, *S) -> (N,).

        Columns of a table that are no numbers have a categorical likelihood.
        """
        if self.heads and not self.heads.is_plain:
            losses = self.heads.losses(x, logits)
            known = ~losses.isnan()
            losses = torch.where(known, losses, 0)
            spread = math.log(2 * math.pi) + self.log_variance
            numbers = 0.5 * (losses * (-self.log_variance).exp() + spread)
            return -torch.where(self.heads.numbers, numbers * known, losses).flatten(1).sum(1)
        if self.likelihood == "bernoulli":
            losses = functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
            return -losses.flatten(1).sum(1)
        output = logits.sigmoid() if self.bounded else logits
        squares = (x - output).square().flatten(1)
        if self.heads:  # a missing cell is NaN
            squares = squares.nan_to_num(nan=0.0)
        squares = squares.sum(1)
        constant = x[0].numel() * (math.log(2 * math.pi) + self.log_variance)
        return -0.5 * (squares * (-self.log_variance).exp() + constant)

    def elbo(
        self, x: Tensor, samples: int = 1, beta: float = 1.0, encoder_input: Tensor | None = None
    ) -> Tensor:
        """Return E_q[log p(x given z)] - beta KL(q, N(0, I)) in nats: (N, *S) -> (N,).

        `encoder_input`, such as a corrupted `x`, is encoded instead of `x`.
        """
        mean, log_var = self.posterior(x if encoder_input is None else encoder_input)
        log_probabilities = [
            self.log_p(x, self.decode_logits(mean + (0.5 * log_var).exp() * noise))
            for noise in self._draws(samples, mean)
        ]
        return torch.stack(log_probabilities).mean(0) - beta * gaussian_kl(mean, log_var)

    def log_likelihood(self, x: Tensor, samples: int = 200) -> Tensor:
        """Return a lower bound of log p(x) in nats by importance sampling: (N, *S) -> (N,).

        The bound is log mean_k p(x given z_k) p(z_k) / q(z_k given x) with z_k drawn from q (Burda
        et al. 2016, equation 8). It converges to log p(x) as `samples` grows.
        """
        mean, log_var = self.posterior(x)
        log_weights = []
        for noise in self._draws(samples, mean):
            z = mean + (0.5 * log_var).exp() * noise
            # The normalising constants of p(z) and q(z given x) cancel.
            ratio = 0.5 * (noise.square() + log_var - z.square()).sum(1)
            log_weights.append(self.log_p(x, self.decode_logits(z)) + ratio)
        return torch.stack(log_weights).logsumexp(0) - math.log(samples)

    def _draws(self, samples: int, like: Tensor) -> Tensor:
        """Return standard normal draws, (samples, N, latent_dim) or (samples, 1, latent_dim).

        In training, draws are independent per sample. In evaluation, all samples share fixed draws,
        so a score depends neither on the batch nor on the generator's state. `like` has the shape,
        type and device of the posterior mean.
        """
        if self.training:
            return torch.randn(samples, *like.shape, dtype=like.dtype, device=like.device)
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(samples, 1, like.shape[1], dtype=like.dtype, generator=generator)
        return draws.to(like.device)

    def score(self, x: Tensor) -> Tensor:
        """Return the anomaly score selected by `score_by`: (N, *S) -> (N,).

        ELBO and likelihood scores are in nats. They leave out the constant of the Gaussian
        likelihood, which is the same for all samples, so that scores are at least 0 up to the
        sampling error.
        """
        if self.score_by == "reconstruction":
            return self.error(x)
        bound = self.elbo if self.score_by == "elbo" else self.log_likelihood
        if self.likelihood == "bernoulli":
            return -bound(x, self.samples)
        steps = x[0, 0].numel()  # of a window
        numbers = int(self.heads.numbers.sum()) * steps if self.heads else x[0].numel()
        constant = -0.5 * numbers * (math.log(2 * math.pi) + self.log_variance)
        return constant - bound(x, self.samples)


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_var)), N(0, I)) in nats: (N, latent_dim) each -> (N,)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)
