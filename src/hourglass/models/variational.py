"""Variational autoencoder: the code is a distribution close to N(0, I)."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.networks.variational import Score
from hourglass.networks.variational import Variational as VariationalNetwork


class Variational(LitAutoencoder):
    """Maximise E_q[log p(x given z)] - beta KL(q(z given x), N(0, I)) (Kingma and Welling 2014).

    `loss` "bce" selects a Bernoulli decoder, "mse" a Gaussian one with a trained variance. The loss
    is the negative ELBO in nats per element of a sample. `score_by` selects a sample's score: its
    "reconstruction" error, or the negative "elbo" or "likelihood" from `samples` draws of the code.
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
        loss: Literal["mse", "bce"] = "mse",
        **training: Any,
    ) -> None:
        if not beta >= 0:
            raise UserError(f"beta is {beta}, but must be 0 or more.")
        if samples < 1:
            raise UserError(f"samples is {samples}, but a score needs at least 1.")
        network = VariationalNetwork(
            sample_shape,
            latent_dim,
            architecture,
            hidden,
            channels,
            activation,
            "bernoulli" if loss == "bce" else "gaussian",
            score_by,
            samples,
        )
        super().__init__(network, loss=loss, **training)
        self.beta = beta

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the negative ELBO of clean inputs (N, *S), in nats per element."""
        network: VariationalNetwork = self.network  # type: ignore[assignment]
        elbo = network.elbo(x, beta=self.beta, encoder_input=self.corrupt(x))
        return -elbo.mean() / x[0].numel()
