"""How the learning rate changes while a training lasts."""

from typing import Any, Literal, TypeAlias

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from hourglass.core.errors import UserError
from hourglass.networks.bolts import bolts, quiet

Schedule: TypeAlias = Literal["constant", "cosine", "warmup_cosine"]


def scheduled(
    optimizer: Optimizer, schedule: Schedule, warmup_epochs: int, trainer: pl.Trainer
) -> Any:
    """Return an optimizer with its schedule, as Lightning's `configure_optimizers` does.

    "cosine" lowers the learning rate to 0 over max_epochs, once an epoch. "warmup_cosine" is bolts'
    LinearWarmupCosineAnnealingLR: it rises from 0 over `warmup_epochs` first, and changes at every
    step. "constant" leaves it. Raises a UserError where the warm-up would not end.
    """
    epochs = trainer.max_epochs or 1
    if schedule == "constant":
        return optimizer
    if schedule == "cosine":
        return [optimizer], [CosineAnnealingLR(optimizer, epochs)]
    if warmup_epochs >= epochs:
        raise UserError(
            f"warmup_epochs is {warmup_epochs}, but must be below max_epochs, {epochs}."
        )
    steps = int(trainer.estimated_stepping_batches) // epochs
    with quiet():
        warmup = bolts("optimizers.lr_scheduler").LinearWarmupCosineAnnealingLR
        scheduler = warmup(optimizer, warmup_epochs * steps, epochs * steps)
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}]
