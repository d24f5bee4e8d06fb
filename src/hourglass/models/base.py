"""The LightningModule that all variants extend: loss, validation error and optimizer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.corruption import Corruption
from hourglass.models.epoch_means import EpochMeans, samples_of
from hourglass.models.schedules import Schedule, with_schedule
from hourglass.networks import Network

Loss: TypeAlias = Literal["mse", "bce"]
Step = TypeVar("Step", bound=Callable[..., Any])


def plain_step(training_step: Step) -> Step:
    """Mark a `training_step(self, batch)` that returns the loss of any batch as a tensor.

    Only steps with this mark are taken by `training.fast_loop`; an override without it is taken by
    Lightning's loop.
    """
    training_step.is_plain = True  # type: ignore[attr-defined]
    return training_step


class Module(pl.LightningModule):
    """A LightningModule with little overhead per step."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, `_current_fx_name` without torch's search for parameters.

        Lightning sets it about forty times per step; the search costs a small network more than its
        activations do.
        """
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


@dataclass(frozen=True)
class Phase:
    """A pre-training of `module` on the codes that `below` returns."""

    name: str
    module: "LitAutoencoder"
    below: nn.Module  # samples (N, *S) -> inputs of `module`
    max_epochs: int


class LitAutoencoder(Module):
    """Train a network to reproduce its clean input.

    The loss is the reconstruction loss of the corrupted input against the clean one, plus
    `penalty`. A variant builds its network and overrides `corrupt`, `penalty` or `training_loss`.

    `loss`: "mse", or "bce", the binary cross-entropy of pixels, for outputs in [0, 1].
    `noise_factor`, `masking`, `salt_and_pepper`, `block`, `downsampling`, `grey`: the corruption of
    training inputs, see `Corruption`; none by default.
    `schedule`: "cosine" lowers the learning rate to 0 over max_epochs; "warmup_cosine" first raises
    it from 0 over `warmup_epochs`, step by step (bolts' LinearWarmupCosineAnnealingLR); "constant"
    keeps it.

    Under any Trainer, `train_loss` and `validation_error` are the epoch means of `EpochMeans`.

    Raises a UserError for settings out of range, for "bce" without an output in [0, 1], and for a
    corruption of images if samples are vectors.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss = "mse",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: Schedule = "cosine",
        warmup_epochs: int = 5,
        noise_factor: float = 0.0,
        masking: float = 0.0,
        salt_and_pepper: float = 0.0,
        block: float = 0.0,
        downsampling: int = 1,
        grey: bool = False,
    ) -> None:
        super().__init__()
        # `not >` instead of `<=` also refuses NaN.
        if not learning_rate > 0:
            raise UserError(f"learning_rate is {learning_rate}, but must be above 0.")
        if not weight_decay >= 0:
            raise UserError(f"weight_decay is {weight_decay}, but must be 0 or more.")
        if warmup_epochs < 1:
            raise UserError(f"warmup_epochs is {warmup_epochs}, but must be at least 1.")
        if loss == "bce" and not network.bounded:
            raise UserError("loss is 'bce', but this output is not bound to [0, 1]; use 'mse'.")
        self.network = network
        self.loss = loss
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.corruption = Corruption(
            grey, downsampling, noise_factor, salt_and_pepper, masking, block
        )
        self.corruption.check(network.sample_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of `x`: (N, *S) -> (N, *S)."""
        return self.network(x)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes: (N, *S) -> (N, latent_dim)."""
        return self.network.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return reconstructions: (N, latent_dim) -> (N, *S)."""
        return self.network.decode(z)

    def score(self, x: Tensor) -> Tensor:
        """Return the anomaly score of each sample: (N, *S) -> (N,)."""
        return self.network.score(x)

    def corrupt(self, x: Tensor) -> Tensor:
        """Return the encoder's training input: (N, *S) -> (N, *S)."""
        return self.corruption(x)

    def penalty(self, x: Tensor, z: Tensor) -> Tensor | float:
        """Return the term added to the loss, from clean inputs (N, *S) and codes; 0 here."""
        return 0.0

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the loss of one batch of clean inputs, (N, *S)."""
        z = self.encode(self.corrupt(x))
        return self.reconstruction_loss(x, z) + self.penalty(x, z)

    def reconstruction_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the mean loss per element of the codes' reconstructions against `x`."""
        logits = self.network.decode_logits(z)
        if self.loss == "bce":
            return functional.binary_cross_entropy_with_logits(logits, x)
        return functional.mse_loss(logits.sigmoid() if self.network.bounded else logits, x)

    def phases(self) -> Iterator[Phase]:
        """Yield the trainings before that of the whole, each after the one before is complete."""
        yield from ()

    @plain_step
    def training_step(self, batch: Any) -> Tensor:
        """Return the loss of a batch: clean inputs (N, *S), or a list that starts with them."""
        return self.training_loss(samples_of(batch))

    def validation_step(self, batch: Any) -> Tensor:
        """Return the error of each sample of a batch of clean inputs, (N, *S) -> (N,).

        It is the score, unless training removes information from images (`Corruption.of_images`):
        then it is the reconstruction error of images degraded by the same draws in every epoch.
        """
        x = samples_of(batch)
        degrade = self.corruption.of_images
        if degrade == Corruption():
            return self.score(x)
        degraded = degrade(x, torch.Generator(x.device).manual_seed(0))
        return (self(degraded) - x).square().flatten(1).mean(1)

    def configure_callbacks(self) -> list[pl.Callback]:
        """Return the callback that publishes `train_loss` and `validation_error`."""
        present = any(isinstance(each, EpochMeans) for each in self.trainer.callbacks)  # type: ignore[attr-defined]
        return [] if present else [EpochMeans()]

    def configure_optimizers(self) -> Any:
        """Return Adam and the schedule."""
        optimizer = torch.optim.Adam(
            self.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        return with_schedule(optimizer, self.schedule, self.warmup_epochs, self.trainer)
