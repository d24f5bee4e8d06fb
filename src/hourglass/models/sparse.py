"""Sparse autoencoder: a code with many units, few of them active per sample."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models import penalties
from hourglass.models.base import LitAutoencoder
from hourglass.networks.base import require_at_least


class Sparse(LitAutoencoder):
    """Add an activity penalty to the loss: sparsity_weight * P / elements of a sample.

    With `sparsity` "kl", P = sum_j KL(target || mean activation of unit j over the batch), for
    sigmoid units (Ng 2011). With "l1", P = sum_j |z_j|, for rectified units. P is divided by the
    number of elements because the reconstruction loss is a mean over them, so the same
    `sparsity_weight` suits data sets of different sample sizes.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 128,
        hidden: Sequence[int] = (),
        activation: networks.Activation = "relu",
        tied: bool = False,
        sparsity: Literal["kl", "l1"] = "kl",
        target: float = 0.05,
        sparsity_weight: float = 3.0,
        **training: Any,
    ) -> None:
        if not 0 < target < 1:
            raise UserError(f"target is {target}, but a mean activation lies between 0 and 1.")
        require_at_least(0, sparsity_weight=sparsity_weight)
        code_activation: networks.Activation = "sigmoid" if sparsity == "kl" else "relu"
        bounded = networks.is_image(sample_shape)
        network = networks.Dense(
            sample_shape, latent_dim, hidden, activation, code_activation, tied, bounded
        )
        super().__init__(network, **training)
        self.sparsity = sparsity
        self.target = target
        self.sparsity_weight = sparsity_weight

    def penalty(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the weighted penalty of the codes `z`, (N, latent_dim), of a batch."""
        is_kl = self.sparsity == "kl"
        activity = penalties.kl_sparsity(z, self.target) if is_kl else penalties.l1(z)
        return self.sparsity_weight * activity / x[0].numel()
