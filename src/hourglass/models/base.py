"""The LightningModule that all variants share: wiring only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.corruption import Corruption
from hourglass.models.module import Module
from hourglass.models.schedules import Schedule, scheduled
from hourglass.networks import Network

Loss: TypeAlias = Literal["mse", "bce"]


@dataclass(frozen=True)
class Phase:
    """A training that comes before that of the whole: a `module` on the codes of what is below."""

    name: str
    module: "LitAutoencoder"
    below: nn.Module  # from samples, (N, *S), to what the module trains on
    max_epochs: int


class LitAutoencoder(Module):
    """Train a network to reproduce its clean input.

    The loss is the reconstruction loss of the corrupted input against the clean one, plus
    `penalty`. A variant builds its network, and overrides `corrupt` or `penalty` where what makes
    it a variant is there.

    `loss`: "mse", or "bce", the binary cross-entropy of pixels, where the output lies in [0, 1].
    `noise_factor`, `masking`, `salt_and_pepper`, `block`, `downsampling`, `grey`: what is done to
    the inputs in training, see `Corruption`; by default nothing.
    `schedule`: "cosine" lowers the learning rate to 0 over max_epochs; "warmup_cosine" raises it
    from 0 over `warmup_epochs` first, step by step, by bolts' LinearWarmupCosineAnnealingLR;
    "constant" leaves it.

    Raises a UserError for settings out of range, for "bce" without an output in [0, 1], and for a
    corruption of images where samples are none.
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
        # Written so that NaN, which compares as False, is refused.
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
        # Sums stay on the device until the epoch ends: reading one would wait for the GPU. They are
        # no buffers: DDP would overwrite those of every rank by rank 0's, at each step.
        self._loss_sum, self._error_sum = torch.zeros(2, dtype=torch.float64).unbind()
        self._losses = self._errors = 0
        self._shares: Any = None  # of several processes in a batch, see data.batches.Shares

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
        """Return how abnormal each sample is: (N, *S) -> (N,)."""
        return self.network.score(x)

    def corrupt(self, x: Tensor) -> Tensor:
        """Return what the encoder sees in training: (N, *S) -> (N, *S)."""
        return self.corruption(x)

    def penalty(self, x: Tensor, z: Tensor) -> Tensor | float:
        """Return what is added to the loss, from clean inputs (N, *S) and codes; 0 here."""
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
        """Yield the trainings that come before; each is done when the next one is asked for."""
        yield from ()

    def on_train_epoch_start(self) -> None:
        """Make every random draw of an epoch a function of seed, epoch and rank.

        A training that goes on after a kill then draws what the undisturbed one would have drawn.
        """
        seed = int(self.trainer.datamodule.seed)  # type: ignore[attr-defined]
        _seed((seed * 1_000_003 + self.current_epoch) * 4099 + self.global_rank, self.device)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._losses = 0
        several = self.trainer.world_size > 1
        self._shares = getattr(self.trainer.train_dataloader, "shares", None) if several else None

    def training_step(self, x: Tensor) -> Tensor:
        """Return the loss of one batch of clean inputs, (N, *S).

        A process's share of a batch is weighted: the mean over processes, which DDP takes of the
        gradients, is then that over the batch's samples.
        """
        if len(x):
            loss = self.training_loss(x)
        else:  # a last batch smaller than the number of processes
            loss = 0.0 * torch.stack([each.sum() for each in self.parameters()]).sum()
        if self._shares:
            loss = loss * self._shares.weight(self._losses)
        self.count(loss)
        return loss

    def count(self, loss: Tensor) -> None:
        """Add the loss of a batch to the epoch's sum, which stays on the device."""
        self._loss_sum.add_(loss.detach())
        self._losses += 1

    def on_train_epoch_end(self) -> None:
        """Log the mean training loss of the epoch as `train_loss`."""
        self._log_mean("train_loss", self._loss_sum, self._losses)

    def on_validation_epoch_start(self) -> None:
        """Start a new mean."""
        self._error_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._errors = 0

    def validation_step(self, x: Tensor) -> None:
        """Add up the scores of one batch of clean inputs, (N, *S).

        A network that learns to fill in what images have lost never sees a whole one: it is judged
        by its error where the same is lost again, by the same draws in every epoch.
        """
        lost = self.corruption.of_images
        if lost == Corruption():
            scores = self.score(x)
        else:
            seen = lost(x, torch.Generator(x.device).manual_seed(0))
            scores = (self(seen) - x).square().flatten(1).mean(1)
        self._error_sum.add_(scores.sum())
        self._errors += scores.numel()

    def on_validation_epoch_end(self) -> None:
        """Log the mean score of the validation samples as `validation_error`."""
        self._log_mean("validation_error", self._error_sum, self._errors)

    def _log_mean(self, name: str, total: Tensor, count: int) -> None:
        """Log the mean over all processes of what each has added up."""
        sums = torch.stack([total, torch.full_like(total, count)])
        total = self.trainer.strategy.reduce(sums, reduce_op="sum")
        assert isinstance(total, Tensor)
        self.log(name, total[0] / total[1], sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return Adam and the schedule."""
        optimizer = torch.optim.Adam(
            self.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        return scheduled(optimizer, self.schedule, self.warmup_epochs, self.trainer)


def _seed(seed: int, device: torch.device) -> None:
    """Seed torch's draws on the CPU and on `device`.

    torch.manual_seed notes down a traceback for each kind of device that is not there, to seed it
    once it is: that takes longer than a step, and the notes are kept.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
