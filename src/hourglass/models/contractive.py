"""Contractive autoencoder: the latent code is insensitive to small changes of the input."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from hourglass import networks
from hourglass.models import penalties
from hourglass.models.base import LitAutoencoder
from hourglass.networks.base import require_at_least


class Contractive(LitAutoencoder):
    """Add the contraction penalty of Rifai et al. (2011) to the reconstruction loss.

    The penalty is contraction * ||dz/dx||_F^2 / D for samples of D elements. ||dz/dx||_F^2 is the
    squared Frobenius norm of the encoder's Jacobian at the clean input, averaged over the batch.

    `jacobian`: "exact" or "estimated". The exact norm has a closed form if the encoder is one dense
    layer; otherwise it takes one backward pass per unit of the code. The estimate is unbiased and
    takes `probes` backward passes; see `penalties.estimated_frobenius` for its variance.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: networks.Architecture = "dense",
        hidden: Sequence[int] = (),
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "sigmoid",
        code_activation: networks.Activation = "sigmoid",
        tied: bool = True,
        contraction: float = 0.1,
        jacobian: Literal["exact", "estimated"] = "exact",
        probes: int = 1,
        **training: Any,
    ) -> None:
        require_at_least(0, contraction=contraction)
        require_at_least(1, probes=probes)
        layers = {"activation": activation, "code_activation": code_activation}
        network = networks.make(
            architecture, sample_shape, latent_dim, hidden, channels, tied, **layers
        )
        super().__init__(network, **training)
        self.contraction = contraction
        self.jacobian = jacobian
        self.probes = probes

    def penalty(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the contraction penalty at clean inputs `x`, (N, *S)."""
        return self.contraction * self.frobenius(x).mean() / x[0].numel()

    def frobenius(self, x: Tensor) -> Tensor:
        """Return the squared Frobenius norm of the Jacobian, or its estimate: (N, *S) -> (N,)."""
        if self.jacobian == "estimated":
            return penalties.estimated_frobenius(self.encode, x, self.probes)
        layers = list(self.network.encoder.children())
        if len(layers) == 3 and isinstance(layers[1], nn.Linear):  # flatten, linear, activation
            return penalties.layer_frobenius(layers[1], layers[2], self.network.flat_inputs(x))
        return penalties.exact_frobenius(self.encode, x)
