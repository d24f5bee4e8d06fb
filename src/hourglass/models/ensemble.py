"""Ensemble of wide denoising autoencoders: the default of tables."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hourglass.models.base import LitAutoencoder
from hourglass.networks import Activation, is_image
from hourglass.networks.base import require_at_least
from hourglass.networks.ensemble import Decoders
from hourglass.networks.ensemble import Ensemble as Members


class Ensemble(LitAutoencoder):
    """Minimise the denoising loss of each of several networks, trained at once.

    Each member has one hidden layer and a code of `width` units, more than a table has columns:
    noise prevents that it copies its input. The members differ in their first weights and in their
    noise. They reconstruct a sample by the mean of their outputs, and their codes are joined.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        members: int = 4,
        width: int = 128,
        activation: Activation = "relu",
        noise_factor: float = 0.2,
        masking: float = 0.0,
        **training: Any,
    ) -> None:
        require_at_least(1, members=members, width=width)
        bounded = is_image(sample_shape)
        network = Members(sample_shape, members * width, members, activation, bounded)
        super().__init__(network, noise_factor=noise_factor, masking=masking, **training)

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the mean loss of the members, each with its own corruption of the samples."""
        codes = [encoder(self.corrupt(x)) for encoder in self.network.encoder.children()]
        assert isinstance(self.network.decoder, Decoders)
        losses = [self.logits_loss(x, y) for y in self.network.decoder.members(torch.cat(codes, 1))]
        return torch.stack(losses).mean()
