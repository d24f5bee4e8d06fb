"""Learning-rate schedules."""

from typing import Any, Literal, TypeAlias

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from hourglass.core.errors import UserError
from hourglass.networks.bolts import bolts, quiet

Schedule: TypeAlias = Literal["constant", "cosine", "warmup_cosine", "linear_decay"]
DECAY_SHARE = 1 / 5  # of the epochs, the last ones


def with_schedule(
    optimizer: Optimizer, schedule: Schedule, warmup_epochs: int, trainer: pl.Trainer
) -> Any:
    """Return an optimizer with its schedule, as Lightning's `configure_optimizers` must.

    "cosine" lowers the learning rate to 0 over max_epochs, once per epoch. "warmup_cosine" first
    raises it from 0 over `warmup_epochs`, and updates it at every step with lightning-bolts'
    LinearWarmupCosineAnnealingLR. "linear_decay" lowers it to 0 over the last fifth of the epochs,
    once per epoch. "constant" does not change it. Raises a UserError if max_epochs
    is not set, or not above warmup_epochs.
    """
    if schedule == "constant":
        return optimizer
    epochs = trainer.max_epochs or 0
    if epochs < 1:
        raise UserError(
            f"schedule is {schedule!r}, but the trainer has no max_epochs; set it, or use "
            "schedule 'constant'."
        )
    if schedule == "cosine":
        return [optimizer], [CosineAnnealingLR(optimizer, epochs)]
    if schedule == "linear_decay":
        decay = max(1.0, DECAY_SHARE * epochs)
        return [optimizer], [LambdaLR(optimizer, lambda epoch: min(1.0, (epochs - epoch) / decay))]
    if warmup_epochs >= epochs:
        raise UserError(
            f"warmup_epochs is {warmup_epochs}, but must be below max_epochs, {epochs}."
        )
    steps = int(trainer.estimated_stepping_batches) // epochs
    with quiet():
        schedule_class = bolts("optimizers.lr_scheduler").LinearWarmupCosineAnnealingLR
        scheduler = schedule_class(optimizer, warmup_epochs * steps, epochs * steps)
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}]
