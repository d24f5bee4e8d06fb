"""What happens beside a training: its history, and the line a person watches."""

import math
import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeAlias

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping
from pytorch_lightning.profilers import PassThroughProfiler
from tqdm import tqdm

from hourglass.core.errors import UserError

MONITOR = "validation_error"
EpochListener: TypeAlias = Callable[[dict[str, Any]], None]  # called with each row of a history


class StopOnPlateau(EarlyStopping):
    """Stop a training whose validation error did not improve for `patience` epochs."""

    state_key = "stopping"

    def __init__(self, patience: int) -> None:
        super().__init__(MONITOR, 0.0, patience)


class NoProfiler(PassThroughProfiler):
    """Measure nothing, as Lightning's own does, without a generator for each of 80 hooks a step."""

    nothing = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self.nothing


class History(Checkpoint):
    """Keep one row an epoch, tell the recorder, and stop a training that turned NaN.

    It is a Checkpoint only by type: Lightning calls those after the module has logged.
    """

    def __init__(self, name: str, on_epoch: EpochListener | None, phase: str = "") -> None:
        self.name = f"{name} {phase}".rstrip()
        self.on_epoch = on_epoch
        self.phase = {"phase": phase} if phase else {}
        self.rows: list[dict[str, Any]] = []
        self.learning_rate = 0.0

    @property
    def state_key(self) -> str:
        """Return the key of the rows in a checkpoint."""
        return "History"

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def tell_again(self) -> None:
        """Tell the recorder the epochs of a checkpoint: a kill may have lost some."""
        if self.on_epoch:
            for row in self.rows:
                self.on_epoch(row)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let SIGTERM end the process at once, with its status: the next run goes on from here."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the learning rate of the epoch that begins."""
        self.learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch that ends."""
        values = {key: float(trainer.callback_metrics[key]) for key in ("train_loss", MONITOR)}
        for key, value in values.items():
            if not math.isfinite(value):
                raise UserError(
                    f"{self.name}: {key} became {value} in epoch {trainer.current_epoch}; lower "
                    f"learning_rate (now {pl_module.learning_rate}) or check the data's scaling."
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


class Progress(Callback):
    """Show the epochs as a bar where standard error is a terminal, and nothing elsewhere."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bar, on one process."""
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc=self.name,
            unit="epoch",
            disable=None if trainer.is_global_zero else True,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move on by one epoch."""
        error = float(trainer.callback_metrics[MONITOR])
        self.bar.set_postfix_str(f"{MONITOR} {error:.4g}", refresh=False)
        self.bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the line as it is."""
        self.bar.close()
