"""Training callbacks: seeds per epoch, history, early stopping and progress bar."""

import math
import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeAlias

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping
from pytorch_lightning.profilers import PassThroughProfiler
from tqdm import tqdm

from hourglass.core.errors import UserError
from hourglass.models.epoch_means import TRAIN_LOSS, VALIDATION_ERROR

MONITOR = VALIDATION_ERROR
EpochListener: TypeAlias = Callable[[dict[str, Any]], None]  # called with each row of a history


class StopOnPlateau(EarlyStopping):
    """Early stopping if the validation error has not improved for `patience` epochs."""

    state_key = "stopping"

    def __init__(self, patience: int) -> None:
        super().__init__(MONITOR, 0.0, patience)


class NoProfiler(PassThroughProfiler):
    """A profiler that does nothing.

    Lightning's default profiler creates a generator for each of about 80 hooks per step.
    """

    nothing = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self.nothing


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
    """Keep and report one row per epoch, and stop a training with a loss that is not finite.

    The base class is Checkpoint only because Lightning calls checkpoints after the module's hooks.
    """

    state_key = "History"

    def __init__(self, name: str, on_epoch: EpochListener | None, phase: str = "") -> None:
        self.name = f"{name} {phase}".rstrip()
        self.on_epoch = on_epoch
        self.phase = {"phase": phase} if phase else {}
        self.rows: list[dict[str, Any]] = []
        self.learning_rate = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def report_again(self) -> None:
        """Report the epochs of a checkpoint again, because a killed process may have lost some."""
        if self.on_epoch:
            for row in self.rows:
                self.on_epoch(row)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the default effect of SIGTERM, to end at once; the next training resumes."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Store the learning rate of the epoch."""
        self.learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add and report the row of the epoch.

        Raises a UserError if the training loss is missing or a value is not finite.
        """
        metrics = trainer.callback_metrics
        if TRAIN_LOSS not in metrics:
            raise UserError(
                f"{self.name}: the training has no loss; return it from training_step, or log "
                f"{TRAIN_LOSS}."
            )
        values = {key: float(metrics[key]) for key in (TRAIN_LOSS, MONITOR)}
        for key, value in values.items():
            if not math.isfinite(value):
                raise UserError(
                    f"{self.name}: {key} became {value} in epoch {trainer.current_epoch}; lower "
                    f"learning_rate (now {self.initial_learning_rate(pl_module)}) or check the "
                    "data's scaling."
                )
        row = {
            **self.phase,
            "epoch": trainer.current_epoch,
            **values,
            "learning_rate": self.learning_rate,
        }
        self.rows.append(row)
        if self.on_epoch:
            self.on_epoch(row)

    def initial_learning_rate(self, module: pl.LightningModule) -> float:
        """Return the module's `learning_rate`, or the highest rate so far if it has none."""
        rates = [self.learning_rate, *(row["learning_rate"] for row in self.rows)]
        return getattr(module, "learning_rate", max(rates))


class Progress(Callback):
    """Show the epochs as a bar if standard error is a terminal."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bar, on rank 0."""
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc=self.name,
            unit="epoch",
            disable=None if trainer.is_global_zero else True,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Advance by one epoch."""
        error = float(trainer.callback_metrics[MONITOR])
        self.bar.set_postfix_str(f"{MONITOR} {error:.4g}", refresh=False)
        self.bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self.bar.close()
