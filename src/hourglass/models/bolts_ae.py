"""The ResNet autoencoder of lightning-bolts."""

from collections.abc import Sequence
from typing import Any, Literal

from hourglass.models.base import LitAutoencoder
from hourglass.networks.bolts import Bolts


class BoltsAE(LitAutoencoder):
    """Train the network of pl_bolts.models.autoencoders.AE on the mean squared error."""

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 256,
        enc_type: Literal["resnet18", "resnet50"] = "resnet18",
        **training: Any,
    ) -> None:
        super().__init__(Bolts(sample_shape, latent_dim, "AE", enc_type), **training)
