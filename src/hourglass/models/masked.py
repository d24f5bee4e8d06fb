"""Masked autoencoder: reproduce cells, time steps or patches that are hidden from the encoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.models.epoch_means import samples_of
from hourglass.networks import Activation, Architecture, is_image
from hourglass.networks.base import require_at_least
from hourglass.networks.masked import Masked as MaskedNetwork
from hourglass.networks.masked import by_cell, hide


class Masked(LitAutoencoder):
    """Minimise the loss of hidden cells, predicted from the visible ones (He et al. 2022).

    Each cell is hidden with probability `ratio`. A cell is a column of a row, `patch` successive
    steps of a column in a window of a time series, or a square of `patch` x `patch` pixels of an
    image. The loss is the mean over the hidden cells, plus `visible_weight` times the mean over the
    visible ones. The encoder gets 0 in hidden cells, and indicators of them.

    Corruptions apply before cells are hidden. The validation error is the mean loss of cells that
    are hidden at random, the same in every epoch.
    Raises a UserError for a ratio outside (0, 1), or a setting out of range.
    """

    network: MaskedNetwork

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        architecture: Architecture = "dense",
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (16, 32),
        activation: Activation = "relu",
        ratio: float = 0.3,
        patch: int = 4,
        visible_weight: float = 0.1,
        **training: Any,
    ) -> None:
        if not 0 < ratio < 1:
            raise UserError(f"ratio is {ratio}, but must be above 0 and below 1.")
        require_at_least(1, patch=patch)
        require_at_least(0, visible_weight=visible_weight)
        bounded = is_image(sample_shape)
        network = MaskedNetwork(
            sample_shape, latent_dim, architecture, hidden, channels, activation, bounded
        )
        super().__init__(network, **training)
        if self.loss not in ("mse", "bce"):
            raise UserError(f"loss is {self.loss!r}, but that of cells is 'mse' or 'bce'; use one.")
        self.ratio, self.patch, self.visible_weight = ratio, patch, visible_weight

    def corrupt(self, x: Tensor) -> Tensor:
        """Return corrupted samples with hidden cells, NaN: (N, *S) -> (N, *S)."""
        return self.hide(super().corrupt(x))

    def hide(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Hide cells of samples at random: (N, *S) -> (N, *S)."""
        heads, shape = self.network.heads, list(x.shape)
        if x.ndim == 4:
            shape[1] = 1  # all channels of a pixel
        elif heads:
            shape[1] = len(heads.columns)
        sides = [-(-side // self.patch) for side in shape[2:]]
        is_hidden = torch.rand(*shape[:2], *sides, generator=generator, device=x.device)
        is_hidden = is_hidden < self.ratio
        for axis, side in enumerate(shape[2:], 2):
            is_hidden = is_hidden.repeat_interleave(self.patch, axis).narrow(axis, 0, side)
        return hide(x, is_hidden[:, heads.column] if heads else is_hidden, heads)

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the mean loss of a batch of clean samples, (N, *S)."""
        losses = self.masked_losses(x, self.corrupt(x), self.visible_weight)
        if self.trim:
            kept = len(x) - int(self.trim * len(x))
            losses = losses.topk(kept, largest=False).values
        return losses.mean()

    def masked_losses(self, x: Tensor, inputs: Tensor, visible_weight: float) -> Tensor:
        """Return the mean loss of the cells that are hidden in `inputs`, of each sample, (N,).

        Adds the mean loss of the visible cells, weighted. A cell missing in `x` does not count.
        """
        logits, heads = self.network.logits(inputs), self.network.heads
        cells, hidden = (by_cell(samples, heads).isnan() for samples in (x, inputs))
        losses = heads.losses(x, logits) if heads else self._element_losses(x, logits)
        losses = losses.masked_fill(cells, 0.0)
        loss = _mean(losses, hidden & ~cells)
        return loss + visible_weight * _mean(losses, ~hidden & ~cells) if visible_weight else loss

    def _element_losses(self, x: Tensor, logits: Tensor) -> Tensor:
        if self.loss == "bce":
            return functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return (self.network.output(logits) - x).square()

    def validation_step(self, batch: Any) -> Tensor:
        """Return the mean loss of hidden cells of each sample, (N,)."""
        x = samples_of(batch)
        generator = torch.Generator(x.device).manual_seed(0)
        degraded = self.corruption.of_images(x, generator, self.network.heads)
        return self.masked_losses(x, self.hide(degraded, generator), visible_weight=0.0)


def _mean(losses: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of the counted losses of each sample, 0 without any: -> (N,)."""
    counted = counted.flatten(1)
    return (losses.flatten(1) * counted).sum(1) / counted.sum(1).clamp(min=1)
