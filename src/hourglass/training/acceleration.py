"""Which step a training takes: a plain one, a compiled one, or one replayed from a CUDA graph."""

import sys
from collections.abc import Callable
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from hourglass.core.errors import one_line
from hourglass.core.settings import Acceleration
from hourglass.models.base import LitAutoencoder
from hourglass.training.cuda_graph import GraphedStep, make_capturable
from hourglass.training.step_checks import disagreement, seconds


class Step(Protocol):
    """Take a batch, update the weights, and return the loss, a tensor on the device."""

    def __call__(self, batch: Any) -> Tensor:
        """Return the loss before the update."""
        ...


class Update:
    """Update weights by the gradient of a loss: an ordinary step of an optimizer."""

    def __init__(self, loss: Callable[[Any], Any], optimizer: Optimizer) -> None:
        self.loss = loss
        self.optimizer = optimizer

    def __call__(self, batch: Any) -> Tensor:
        """Return the loss before the update."""
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


class Accelerated:
    """Take batches of one shape by a fast update, and any other by a plain step."""

    def __init__(self, fast: Step, plain: Step, module: LitAutoencoder, batch: Tensor) -> None:
        self.fast = fast
        self.plain = plain
        self.module = module
        self.shape = batch.shape

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the loss; the module counts it, as its `training_step` does by itself."""
        if batch.shape != self.shape:
            return self.plain(batch)
        loss = self.fast(batch)
        self.module.count(loss)
        return loss


def make_step(trainer: pl.Trainer, acceleration: Acceleration, batch: Any) -> Step:
    """Return the step that a training takes, made for batches such as `batch`.

    "compile": torch.compile of the loss. "cuda_graph": a captured graph. "auto": on one CUDA device
    a graph, if it is faster than plain steps; else these. "none": plain steps. An accelerated step
    is tried first, and leaves no trace. Where it fails, or its losses are not those of plain steps
    within rounding, plain steps are taken, and a sentence on standard error says why; so it does
    where what was asked for by name is for other trainings.
    """
    module, optimizer = trainer.lightning_module, trainer.optimizers[0]
    plain = Update(trainer.strategy.training_step, optimizer)
    if acceleration == "none":
        return plain
    if reason := _obstacle(trainer, acceleration):
        if acceleration != "auto":
            _say(acceleration, reason)
        return plain
    assert isinstance(module, LitAutoencoder)
    fast, reason = _tried(acceleration, module, optimizer, batch)
    if reason:
        _say(acceleration, reason)
    return Accelerated(fast, plain, module, batch) if fast else plain


@rank_zero_only
def _say(acceleration: Acceleration, reason: str) -> None:
    print(f"acceleration: {acceleration} is not used, as {reason}.", file=sys.stderr)


def _obstacle(trainer: pl.Trainer, acceleration: Acceleration) -> str:
    device = trainer.strategy.root_device.type
    if device != "cuda" and acceleration != "compile":
        return f"the device is {device}"
    if trainer.world_size > 1:
        return "there are several processes"
    if type(trainer.precision_plugin) is not Precision:
        return "the trainer's precision is set"
    if not isinstance(trainer.lightning_module, LitAutoencoder):
        return f"{type(trainer.lightning_module).__name__} is no autoencoder"
    return ""


def _tried(
    acceleration: Acceleration, module: LitAutoencoder, optimizer: Optimizer, batch: Tensor
) -> tuple[Step | None, str]:
    """Return a fast update, or None and the reason, which is "" where it is just not faster."""
    plain = Update(module.training_loss, optimizer)
    try:
        if acceleration == "compile":
            fast: Step = Update(_compiled(module.training_loss), optimizer)
        else:
            make_capturable(optimizer, batch.device)
            fast = GraphedStep(plain, module, optimizer, batch)
        reason = disagreement(fast, plain, module, optimizer, batch)
    except Exception as error:  # compilers and drivers raise what they like; plain steps go on
        return None, f"it failed ({one_line(error)})"
    finally:
        optimizer.zero_grad()
    if reason or acceleration != "auto":
        return (None if reason else fast), reason
    slow = seconds(plain, module, optimizer, batch)
    return (fast if seconds(fast, module, optimizer, batch) < slow else None), ""


def _compiled(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    # Random draws are torch's own then: those of plain steps, a function of seed and epoch.
    return torch.compile(loss, dynamic=False, options={"fallback_random": True})
