"""Quantised autoencoder: codes from a finite set, so the bits of a sample are known exactly."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.networks.base import require_at_least
from hourglass.networks.quantised import Quantisation
from hourglass.networks.quantised import Quantised as QuantisedNetwork
from hourglass.networks.quantisers import CodebookAverages, VectorQuantiser


class Quantised(LitAutoencoder):
    """Minimise the loss of reconstructions from quantised codes, with straight-through gradients.

    `quantisation` "fsq" rounds each of the `latent_dim` units to one of `levels` values (Mentzer et
    al. 2024): latent_dim * log2(levels) bits. "vq" replaces each part of `code_size` units by the
    nearest vector of a codebook with `codebook` vectors, a moving average of the codes assigned to
    it (van den Oord et al. 2017): latent_dim / code_size * log2(codebook) bits. Its loss has the
    additional term commitment * mean (z - quantised z)^2, which keeps codes near the vectors.

    After the training, an autoregressive prior is fitted to the codes, from which samples are
    generated and by which the bits of an entropy coder are known.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: networks.Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: networks.Activation = "relu",
        quantisation: Quantisation = "fsq",
        levels: int = 8,
        codebook: int = 64,
        code_size: int = 4,
        commitment: float = 0.25,
        decay: float = 0.99,
        prior_width: int = 256,
        **training: Any,
    ) -> None:
        require_at_least(0, commitment=commitment)
        if not 0 <= decay < 1:
            raise UserError(f"decay is {decay}, but must be at least 0 and below 1.")
        layers = architecture, hidden, channels, activation
        network = QuantisedNetwork(
            sample_shape,
            latent_dim,
            *layers,
            quantisation,
            levels,
            codebook,
            code_size,
            prior_width,
        )
        super().__init__(network, **training)
        self.commitment = commitment
        self.averages = None
        if isinstance(network.quantiser, VectorQuantiser):
            self.averages = CodebookAverages(network.quantiser, decay)

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the loss of clean inputs, (N, *S); in training, move the codebooks."""
        network: QuantisedNetwork = self.network  # type: ignore[assignment]
        z = network.encoder(self.corrupt(x))
        quantised = network.quantiser(z)
        loss = self.reconstruction_loss(x, quantised)
        if not isinstance(network.quantiser, VectorQuantiser):
            return loss
        if self.training:
            assert self.averages is not None
            self.averages.update(network.quantiser, z)
        return loss + self.commitment * (z - quantised.detach()).square().mean()

    @torch.no_grad()
    def after_training(self, train: Iterable[Any], validation: Iterable[Any]) -> None:
        """Fit the prior to the codes of training samples."""
        network: QuantisedNetwork = self.network.eval()  # type: ignore[assignment]
        device = next(network.parameters()).device
        splits = []
        for batches in (train, validation):
            found = [network.indices(self.samples(batch).to(device)) for batch in batches]
            indices = torch.cat(found)
            splits.append((network.quantiser.values(indices), indices))
        network.prior.fit(*splits[0], splits[1])
