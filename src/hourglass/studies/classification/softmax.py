"""A softmax layer on an encoder, as the LightningModule that trains both together."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models import corruption
from hourglass.models.base import Module, plain_step
from hourglass.networks import Network
from hourglass.training.callbacks import MONITOR


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune: up to `epochs`, until validation did not improve for `patience` of them.

    `masking` is the probability with which an input element is set to 0, `dropout` that of a unit
    of the code, both in training only. `cosine` lowers the learning rate to 0 over `epochs`. An
    epoch takes `least_steps` at least: small training sets are passed through several times in it.
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    batch_size: int = 256
    patience: int = 10
    weight_decay: float = 0.0
    dropout: float = 0.0
    masking: float = 0.0
    cosine: bool = True
    least_steps: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch_size", 1), ("patience", 1), ("least_steps", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}, but must be at least {least}.")
        # Written so that NaN, which compares as False, is refused.
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}, but must be above 0.")
        if not self.weight_decay >= 0:
            raise UserError(f"weight_decay is {self.weight_decay}, but must be 0 or more.")
        for name in ("dropout", "masking"):
            if not 0 <= getattr(self, name) < 1:
                value = getattr(self, name)
                raise UserError(f"{name} is {value}, but must be at least 0 and below 1.")


class Classifier(Module):
    """Classify samples by a linear layer on their codes; train all of it by cross-entropy."""

    _loss_sum: Tensor
    _wrong: Tensor

    def __init__(self, network: Network, classes: int, settings: FineTuning) -> None:
        super().__init__()
        self.settings = settings
        self.network = copy.deepcopy(network).requires_grad_(True).train()
        self.dropout = nn.Dropout(settings.dropout)
        torch.manual_seed(settings.seed)  # of the layer, and of the noise in training
        self.head = nn.Linear(network.latent_dim, classes)
        self.best: dict[str, Tensor] = {}
        self.best_epoch, self.least = 0, math.inf
        # Sums stay on the device until the epoch ends: reading one would wait for the GPU.
        self.register_buffer("_loss_sum", torch.zeros(()), persistent=False)
        self.register_buffer("_wrong", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes: (N, *S) -> (N, classes)."""
        return self.head(self.dropout(self.network.encode(x)))

    def on_train_epoch_start(self) -> None:
        """Start a new sum."""
        self._loss_sum.zero_()

    @plain_step
    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the cross-entropy of scaled samples and their classes."""
        x, y = batch
        if self.settings.masking:
            x = corruption.masking(x, self.settings.masking)
        loss = functional.cross_entropy(self(x), y)
        self._loss_sum.add_(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        """Stop a training that turned NaN: its validation error would only look bad."""
        if not self._loss_sum.isfinite():
            raise UserError(
                f"the loss of fine-tuning became {float(self._loss_sum)} in epoch "
                f"{self.current_epoch}; lower learning_rate (now {self.settings.learning_rate})."
            )

    def on_validation_epoch_start(self) -> None:
        """Start a new count."""
        self._wrong.zero_()

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count the errors of one batch."""
        self._wrong.add_(wrong(self, *batch))

    def on_validation_epoch_end(self) -> None:
        """Log the number of errors; keep the weights of the first epoch that has the fewest."""
        self.log(MONITOR, self._wrong.float())
        if self._wrong < self.least:
            self.least, self.best_epoch = int(self._wrong), self.current_epoch
            self.best = {key: value.clone() for key, value in self.state_dict().items()}

    def configure_optimizers(self) -> Any:
        """Return Adam and the schedule; the decoder gets no gradient, so it stays as it is."""
        rates = self.settings.learning_rate, self.settings.weight_decay
        optimizer = torch.optim.Adam(self.parameters(), rates[0], weight_decay=rates[1], fused=True)
        if not self.settings.cosine:
            return optimizer
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.settings.epochs)
        return [optimizer], [schedule]


def wrong(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return how many samples (N, *S) a classifier puts in another class than `y`, (N,)."""
    return (classifier(x).argmax(1) != y).sum()
