"""The LightningModule base class of all variants: loss, validation error and optimizer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.corruption import Corruption
from hourglass.models.epoch_means import EpochMeans, samples_of
from hourglass.models.losses import SIMILARITIES, Loss, loss_weights, sample_losses
from hourglass.models.schedules import Schedule, with_schedule
from hourglass.networks.base import Network, require_at_least
from hourglass.networks.heads import column_mean

Step = TypeVar("Step", bound=Callable[..., Any])


def plain_step(training_step: Step) -> Step:
    """Mark a `training_step(self, batch)` that only returns the loss of the batch as a tensor.

    Marked steps run in the faster loop of `training.fast_loop`. An override without the mark runs
    in Lightning's loop.
    """
    training_step.is_plain = True  # type: ignore[attr-defined]
    return training_step


@dataclass(frozen=True)
class Phase:
    """A pre-training phase: train `module` on the outputs of the trained layers below it."""

    name: str
    module: "LitAutoencoder"
    lower_layers: nn.Module  # maps samples, (N, *S), to the inputs of `module`
    max_epochs: int


class LitAutoencoder(pl.LightningModule):
    """Train a network to reconstruct clean samples from corrupted ones.

    The loss compares the reconstruction of the corrupted input with the clean input, and adds
    `penalty`. A variant builds its network and overrides `corrupt`, `penalty` or `training_loss`.

    `loss`: "mse" (mean squared error); for outputs in [0, 1], "bce" (binary cross-entropy); for
    images, "ssim" or "ms_ssim" (1 minus the structural similarity); or the weights of several, such
    as {"mse": 0.5, "ssim": 0.5}.
    `noise_factor`, `masking`, `salt_and_pepper`, `swap`, `block`, `downsampling`, `grey`,
    `defects`: the corruption of training inputs, see `Corruption`; none by default.
    `trim`: the share of each batch, the samples with the highest losses, that is left out of the
    loss. Training rows that hold unlabelled anomalies then have less influence.
    `schedule`: the learning-rate schedule, see `models.schedules.with_schedule`.

    Under any Trainer, `train_loss` and `validation_error` are the epoch means of `EpochMeans`.

    Raises a UserError if a setting is out of range, or if the loss or the corruption does not apply
    to samples of this shape or to these outputs.
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
        swap: float = 0.0,
        block: float = 0.0,
        downsampling: int = 1,
        grey: bool = False,
        defects: float = 0.0,
        trim: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= trim < 1:
            raise UserError(f"trim is {trim}, but must be at least 0 and below 1.")
        if not learning_rate > 0:  # unlike `<= 0`, this is True for NaN
            raise UserError(f"learning_rate is {learning_rate}, but must be above 0.")
        require_at_least(0, weight_decay=weight_decay)
        require_at_least(1, warmup_epochs=warmup_epochs)
        self.loss_weights = loss_weights(loss, network)
        self.network = network
        self.loss = loss
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.trim = trim
        self.corruption = Corruption(
            grey, downsampling, noise_factor, salt_and_pepper, masking, swap, block, defects
        )
        self.corruption.check(network.sample_shape)

    def add_heads(self, columns: list[dict[str, Any]]) -> None:
        """Adapt the network to a table, see `Network.add_heads`."""
        self.network.add_heads(columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of `x`: (N, *S) -> (N, *S)."""
        return self.network(x)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes: (N, *S) -> (N, latent_dim)."""
        return self.network.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return the reconstructions of latent codes: (N, latent_dim) -> (N, *S)."""
        return self.network.decode(z)

    def score(self, x: Tensor) -> Tensor:
        """Return the anomaly score of each sample: (N, *S) -> (N,)."""
        return self.network.score(x)

    def corrupt(self, x: Tensor) -> Tensor:
        """Return the corrupted training input of the encoder: (N, *S) -> (N, *S)."""
        return self.corruption(x, heads=self.network.heads)

    def penalty(self, x: Tensor, z: Tensor) -> Tensor | float:
        """Return the term added to the loss, from clean inputs, (N, *S), and codes; default: 0."""
        return 0.0

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the loss of one batch of clean inputs, (N, *S)."""
        z = self.encode(self.corrupt(x))
        return self.reconstruction_loss(x, z) + self.penalty(x, z)

    def reconstruction_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the loss of reconstructing `x` from codes `z`, averaged over all elements.

        In a table, it is averaged over all cells that are not missing.
        """
        return self.logits_loss(x, self.network.decode_logits(z))

    def logits_loss(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return the reconstruction loss from outputs before the output activation, (N, *S)."""
        if self.trim:
            losses = self.sample_losses(x, logits)
            return losses.topk(len(x) - int(self.trim * len(x)), largest=False).values.mean()
        if (heads := self.network.heads) and not heads.is_plain:
            return heads.losses(x, logits).nanmean()
        if self.loss == "bce":
            return functional.binary_cross_entropy_with_logits(logits, x)
        if self.loss == "mse":
            return functional.mse_loss(logits.sigmoid() if self.network.bounded else logits, x)
        return self.sample_losses(x, logits).mean()

    def sample_losses(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return the reconstruction loss of each sample: (N, *S), (N, *S) -> (N,)."""
        if (heads := self.network.heads) and not heads.is_plain:
            return column_mean(heads.losses(x, logits).flatten(1))
        return sample_losses(self.loss_weights, x, logits, self.network.output(logits))

    def samples(self, batch: Any) -> Tensor:
        """Return the samples of a batch of the training, (N, *S)."""
        return samples_of(batch)

    def phases(self) -> Iterator[Phase]:
        """Yield the pre-training phases; default: none.

        The caller completes each phase before it requests the next one.
        """
        yield from ()

    def after_training(self, train: Iterable[Any], validation: Iterable[Any]) -> None:
        """Fit to batches of both splits what gradient steps do not train; default: nothing.

        It is called on the main process, after the weights of the best epoch were restored.
        """

    @plain_step
    def training_step(self, batch: Any) -> Tensor:
        """Return the loss of a batch: clean inputs, (N, *S), or a list with them first."""
        return self.training_loss(samples_of(batch))

    def validation_step(self, batch: Any) -> Tensor:
        """Return the validation error of each sample of a batch, (N, *S) -> (N,).

        By default, it is the anomaly score. If training corrupts parts of images or windows
        (`Corruption.of_images`), it is the reconstruction error of corrupted samples instead. The
        random draws of this corruption are the same in every epoch. With a structural similarity in
        the loss, the error is the loss.
        """
        x = samples_of(batch)
        degrade, is_similarity = self.corruption.of_images, SIMILARITIES.keys() & self.loss_weights
        if degrade == Corruption() and not is_similarity:
            return self.score(x)
        generator = torch.Generator(x.device).manual_seed(0)
        degraded = degrade(x, generator, self.network.heads)
        if is_similarity:
            return self.sample_losses(x, self.network.logits(degraded))
        return self.network.error(x, degraded)

    def configure_callbacks(self) -> list[pl.Callback]:
        """Return the callback that publishes `train_loss` and `validation_error`."""
        callbacks: list[pl.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        is_present = any(isinstance(callback, EpochMeans) for callback in callbacks)
        return [] if is_present else [EpochMeans()]

    def configure_optimizers(self) -> Any:
        """Return the Adam optimizer with the learning-rate schedule."""
        optimizer = torch.optim.Adam(
            self.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        return with_schedule(optimizer, self.schedule, self.warmup_epochs, self.trainer)
