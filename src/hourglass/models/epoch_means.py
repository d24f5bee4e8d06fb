"""A callback that computes epoch means of the training loss and of the validation error."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from hourglass.core.errors import UserError

TRAIN_LOSS, VALIDATION_ERROR = "train_loss", "validation_error"


def samples_of(batch: Any) -> Tensor:
    """Return the samples of a batch, the first element if it is a list or tuple."""
    samples: Tensor = batch[0] if isinstance(batch, list | tuple) else batch
    return samples


class EpochMeans(pl.Callback):
    """Log the epoch means of the training loss and of the validation error, under any Trainer.

    `train_loss` is the mean over batches, `validation_error` the mean over samples. The errors are
    the output of `validation_step` if it is one value per sample, (N,). Otherwise they are the
    module's `score`. Both means are written to the callback metrics and the loggers. A value that
    the module logs under the same name takes precedence.

    This is a callback because users override hooks of the module without calling super().
    """

    state_key = "EpochMeans"

    def __init__(self) -> None:
        self.untrained_error = math.nan  # mean error in the sanity check; NaN without one
        self._losses = self._errors = _Mean(torch.device("cpu"))

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint: the error of the untrained network."""
        return {"untrained_error": self.untrained_error}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.untrained_error = state_dict["untrained_error"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a new mean of the loss."""
        self._losses = _Mean(pl_module.device)

    def count(self, loss: Tensor) -> None:
        """Add the loss of one batch, a scalar."""
        self._losses.add(loss.detach(), 1)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the loss that `training_step` returned, if any."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            self.count(loss * trainer.accumulate_grad_batches)  # undo Lightning's division

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the mean loss of the epoch."""
        _publish(TRAIN_LOSS, self._losses.over_processes(trainer), trainer, pl_module)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a new mean of the error."""
        self._errors = _Mean(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the errors of one batch."""
        x = samples_of(batch)
        if not (isinstance(outputs, Tensor) and outputs.shape == x.shape[:1]):
            with trainer.precision_plugin.val_step_context():
                outputs = pl_module.score(x)  # type: ignore[operator]
        self._errors.add(outputs.sum(), len(x))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the mean error of the validation samples; keep that of the sanity check.

        Raises a UserError if the untrained network has an error that is not finite.
        """
        mean = self._errors.over_processes(trainer)
        if not trainer.sanity_checking:
            _publish(VALIDATION_ERROR, mean, trainer, pl_module)
        elif mean is not None:
            if not math.isfinite(mean):
                raise UserError(
                    f"the validation error of the untrained network is {mean}; correct the "
                    "network, `score` or `validation_step` of the variant, or check the data."
                )
            self.untrained_error = mean


class _Mean:
    """A running mean that stays on the device until the epoch ends.

    Reading it in every step would synchronise with the GPU. The sum is float64, except on MPS.
    """

    def __init__(self, device: torch.device) -> None:
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.total = torch.zeros((), dtype=dtype, device=device)
        self.count = 0

    def add(self, value: Tensor, count: int) -> None:
        self.total.add_(value)
        self.count += count

    def over_processes(self, trainer: pl.Trainer) -> float | None:
        """Return the mean over all processes, or None if nothing was added."""
        sums = torch.stack([self.total, torch.full_like(self.total, self.count)])
        reduced = trainer.strategy.reduce(sums, reduce_op="sum")
        assert isinstance(reduced, Tensor)
        total, count = reduced.tolist()
        return total / count if count else None


def _publish(
    name: str, value: float | None, trainer: pl.Trainer, module: pl.LightningModule
) -> None:
    """Write a mean to the callback metrics and the loggers, as Lightning does at an epoch's end."""
    if value is None:
        return
    mean = torch.tensor(value, dtype=torch.float64)
    if trainer.state.fn != TrainerFn.FITTING:
        module.log(name, mean)  # `trainer.validate` returns logged values
        return
    # `module.log` would raise if the module itself logged this name in the same hook.
    trainer.callback_metrics[name] = trainer.logged_metrics[name] = mean
    for logger in trainer.loggers:
        row = {name: value, "epoch": trainer.current_epoch}
        logger.log_metrics(row, step=trainer.global_step - 1)
