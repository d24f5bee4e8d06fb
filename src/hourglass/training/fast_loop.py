"""The steps of an epoch without what Lightning does beside them, where nobody asked for it."""

import inspect
import sys
from itertools import chain
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities import move_data_to_device
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities.model_helpers import is_overridden

from hourglass.models.module import Module
from hourglass.training.acceleration import Acceleration, Step, make_step

# Where one of these is overridden, by callback, module or data module, somebody counts on it.
STEP_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "optimizer_step",
    "optimizer_zero_grad",
    "backward",
    "configure_gradient_clipping",
    "lr_scheduler_step",
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
)


class FastEpochLoop(_TrainingEpochLoop):
    """Take the batches of an epoch by a bare step, all but the last, which Lightning takes.

    A step of Lightning's enters some forty hooks, closures and profiled blocks, of which a training
    here uses none. With the last batch comes what an epoch ends with: schedules and validation.
    Counters are what Lightning's would be, so checkpoints are the same, and so are the weights, to
    the bit. Where a training asks for more (see `why_not_fast`), Lightning takes all batches.

    What is Lightning's own business here, and may change with its versions, is in this class:
    `on_run_start` comes between the reset of the counters and the first batch.
    """

    def __init__(self, trainer: pl.Trainer, acceleration: Acceleration) -> None:
        super().__init__(trainer, trainer.min_steps, trainer.max_steps)
        self.acceleration = acceleration
        self._lean: bool | None = None  # not known before the training begins
        self._step: Step | None = None  # made of the first batch

    def on_run_start(self, data_fetcher: Any) -> None:
        """Take all batches of the epoch but the last."""
        super().on_run_start(data_fetcher)
        if self._lean is None:
            self._lean = self._may_be_lean()
        if not self._lean or self.restarting or self.trainer.should_stop:
            return
        by_step = any(each.interval == "step" for each in self.trainer.lr_scheduler_configs)
        for _ in range(int(self.trainer.num_training_batches) - 1):
            fetched = next(data_fetcher, None)
            if fetched is None:
                return  # fewer than there should be: Lightning finds none either
            self._take(move_data_to_device(fetched[0], self.trainer.strategy.root_device))
            if by_step:
                self.update_lr_schedulers("step", update_plateau_schedulers=False)

    def teardown(self) -> None:
        """Forget what belongs to the training that ends."""
        super().teardown()
        self._lean = self._step = None

    def _may_be_lean(self) -> bool:
        reason = why_not_fast(self.trainer)
        if reason and self.trainer.is_global_zero:
            print(f"Lightning's own loop takes all steps, as {reason}.", file=sys.stderr)
        return not reason

    def _take(self, batch: Any) -> None:
        """Make one step and count it, as Lightning would."""
        if self._step is None:
            self._step = make_step(self.trainer, self.acceleration, batch)
        self._step(batch)
        self.batch_progress.increment_by(1)
        optimizer = self.automatic_optimization.optim_progress.optimizer
        optimizer.zero_grad.increment_by(1)
        optimizer.step.increment_by(1)
        self._batches_that_stepped += 1


def why_not_fast(trainer: pl.Trainer) -> str:
    """Return what a training asks for that a bare step does not do, in words; "" if nothing."""
    return _of_settings(trainer) or _of_hooks(trainer)


def _of_settings(trainer: pl.Trainer) -> str:
    precision, batches = trainer.precision_plugin, trainer.num_training_batches
    plain = type(precision) is Precision
    asked = {
        "accumulate_grad_batches": trainer.accumulate_grad_batches != 1,
        "gradient_clip_val": bool(trainer.gradient_clip_val),
        "max_steps": trainer.max_steps != -1,
        "val_check_interval": trainer.enable_validation
        and (trainer.check_val_every_n_epoch is None or trainer.val_check_batch != batches),
        "logger": bool(trainer.loggers),
        "profiler": not isinstance(trainer.profiler, PassThroughProfiler),  # type: ignore[attr-defined]
        "precision": not plain and getattr(precision, "scaler", precision) is not None,
        "strategy": type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy),
    }
    for name, is_asked in asked.items():
        if is_asked:
            return f"the trainer's {name} is set"
    return "" if isinstance(batches, int) else "the number of batches is not known"


def _of_hooks(trainer: pl.Trainer) -> str:
    module = trainer.lightning_module
    if not (isinstance(module, Module) and module.automatic_optimization):
        return f"{type(module).__name__} may log in a step, or take it by itself"
    if len(inspect.signature(module.training_step).parameters) != 1:
        return f"a step of {type(module).__name__} takes more than a batch"
    for each in chain(trainer.callbacks, [module, trainer.datamodule]):  # type: ignore[attr-defined]
        for name in STEP_HOOKS:
            if getattr(each, name, None) and is_overridden(name, each):
                return f"{type(each).__name__} overrides {name}"
    return ""
