"""Training callbacks: seeds per epoch, early stopping, and the history of a training."""

import math
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping

from hourglass.core.errors import UserError
from hourglass.core.progress_bar import ProgressBar
from hourglass.models.epoch_means import TRAIN_LOSS, VALIDATION_ERROR

MONITOR = VALIDATION_ERROR
EpochListener: TypeAlias = Callable[[dict[str, Any]], None]  # called with each row of a history


class StopOnPlateau(EarlyStopping):
    """Early stopping if the validation error has not improved for `patience` epochs."""

    state_key = "stopping"

    def __init__(self, patience: int) -> None:
        super().__init__(MONITOR, 0.0, patience)


class SeedEpochs(Callback):
    """Make all random draws of an epoch a function of seed, epoch and rank.

    A resumed training then draws the same numbers as an uninterrupted one.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed torch's generators on the CPU and on the module's device."""
        seed = (self.seed * 1_000_003 + trainer.current_epoch) * 4099 + trainer.global_rank
        # torch.manual_seed would store a traceback for each absent type of device, which takes
        # longer than a training step.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type != "cpu":
            torch.get_device_module(pl_module.device).manual_seed(seed)


class History(Checkpoint):
    """Keep, report and show one row per epoch; stop a training with a loss that is not finite.

    If `show` is true, a `ProgressBar` shows the epochs. The base class is Checkpoint only because
    Lightning calls checkpoints after the module's hooks.
    """

    state_key = "History"

    def __init__(
        self, name: str, on_epoch: EpochListener | None, phase: str = "", show: bool = True
    ) -> None:
        self.name = f"{name} {phase}".rstrip()
        self.on_epoch = on_epoch or (lambda row: None)
        self.show = show
        self.phase = {"phase": phase} if phase else {}
        self.rows: list[dict[str, Any]] = []
        self.learning_rate = 0.0  # of the current epoch
        self.bar = ProgressBar(show=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def report_again(self) -> None:
        """Report the epochs of a checkpoint again, because a killed process may have lost some."""
        for row in self.rows:
            self.on_epoch(row)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bar on rank 0, and let SIGTERM end the process at once; training resumes."""
        if threading.current_thread() is threading.main_thread():  # others may set no handler
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.bar = ProgressBar(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc=self.name,
            unit=" epochs",
            show=self.show and trainer.is_global_zero,
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Store the learning rate of the epoch."""
        self.learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add and report the row of the epoch.

        Raises a UserError if the training loss is missing or a value is not finite.
        """
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch
        if TRAIN_LOSS not in metrics:
            raise UserError(
                f"{self.name}: the training has no loss; return it from training_step, or log "
                f"{TRAIN_LOSS}."
            )
        values = {key: float(metrics[key]) for key in (TRAIN_LOSS, MONITOR)}
        for key, value in values.items():
            if not math.isfinite(value):
                raise UserError(
                    f"{self.name}: {key} became {value} in epoch {epoch}; lower learning_rate (now "
                    f"{self.initial_learning_rate(pl_module)}) or check the data's scaling."
                )
        row = {**self.phase, "epoch": epoch, **values, "learning_rate": self.learning_rate}
        self.rows.append(row)
        self.on_epoch(row)
        self.bar.set_postfix_str(f"{MONITOR} {values[MONITOR]:.4g}", refresh=False)
        self.bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self.bar.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar."""
        self.bar.close()

    def initial_learning_rate(self, module: pl.LightningModule) -> float:
        """Return the module's `learning_rate`, or the highest rate so far if it has none."""
        rates = [self.learning_rate, *(row["learning_rate"] for row in self.rows)]
        return getattr(module, "learning_rate", max(rates))
