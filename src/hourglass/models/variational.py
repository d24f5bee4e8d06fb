"""Variational autoencoder: the encoder returns a distribution of codes close to N(0, I)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hourglass import networks
from hourglass.models.base import LitAutoencoder
from hourglass.models.losses import ElementLoss, likelihood_of
from hourglass.networks.base import require_at_least
from hourglass.networks.variational import Score
from hourglass.networks.variational import Variational as VariationalNetwork


class Variational(LitAutoencoder):
    """Maximise the ELBO with a weight `beta` on the KL term (Kingma and Welling 2014).

    The ELBO is E_q[log p(x | z)] - beta KL(q(z | x) || N(0, I)). The training loss is the negative
    ELBO in nats per element of a sample.

    `loss`: "bce" for a Bernoulli decoder, "mse" for a Gaussian one with a trained variance.
    `score_by`: the anomaly score. "reconstruction" is the reconstruction error; "elbo" and
    "likelihood" are the negative ELBO and log-likelihood, estimated from `samples` draws of z.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: networks.Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "relu",
        beta: float = 1.0,
        score_by: Score = "reconstruction",
        samples: int = 16,
        loss: ElementLoss = "mse",
        **training: Any,
    ) -> None:
        require_at_least(0, beta=beta)
        require_at_least(1, samples=samples)
        layers = architecture, hidden, channels, activation
        network = VariationalNetwork(
            sample_shape, latent_dim, *layers, likelihood_of(loss), score_by, samples
        )
        super().__init__(network, loss=loss, **training)
        self.beta = beta

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the mean negative ELBO of clean inputs, (N, *S), in nats per element."""
        network: VariationalNetwork = self.network  # type: ignore[assignment]
        elbo = network.elbo(x, beta=self.beta, encoder_input=self.corrupt(x))
        return -elbo.mean() / x[0].numel()
