"""What is kept of a training: its best weights, and what it needs to go on after a kill."""

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from hourglass.training.callbacks import MONITOR

SHARE = 50  # of the time of a training, one part in so many at most goes into writing


class BestAndLastCheckpoint(Checkpoint):
    """Keep the weights of the best epoch in memory, and the last epoch in `path`, if any.

    The file holds all that a training needs to go on, the best weights among it. It is written
    after the first epoch, after the last, and in between as often as that takes no more than a
    fiftieth of the time. A kill then loses the epoch it comes in, or some short ones; they are
    made up for with the same result.
    """

    state_key = "kept"

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.least = math.inf
        self.weights: dict[str, Tensor] = {}
        self._next = 0.0  # when the file may be written again, in seconds of the monotonic clock

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and their validation error."""
        return {"least": self.least, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best weights of a training that goes on."""
        self.least, self.weights = state_dict["least"], state_dict["weights"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights where none were better before; write the file where it is due."""
        error = float(trainer.callback_metrics[MONITOR])
        if error < self.least:
            self.least = error
            self.weights = {key: each.clone() for key, each in pl_module.state_dict().items()}
        if self.path and self._is_due(trainer):
            start = time.monotonic()
            self._save(trainer, self.path)
            end = time.monotonic()
            self._next = end + (SHARE - 1) * (end - start)

    @staticmethod
    def _save(trainer: pl.Trainer, path: Path) -> None:
        """Write all processes' part, whole or not at all: Lightning copies it from elsewhere."""
        beside = path.with_name(f".{path.name}.writing")
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            beside.replace(path)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        """Return whether all processes are to write, as one would be waited for."""
        is_last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        due = is_last or time.monotonic() >= self._next
        return trainer.strategy.reduce_boolean_decision(due, all=False)
