"""Accelerated training steps: torch.compile and CUDA graphs, verified against plain steps.

`acceleration` in configs/trainer/<name>.yaml selects them. "auto", the default, tries a CUDA graph
on one GPU and keeps it if it is faster; "none" disables all of this file. docs/benchmark.md has the
measured speed.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer

from hourglass.core.errors import one_line
from hourglass.core.settings import Acceleration
from hourglass.models.base import LitAutoencoder

COMPARED_STEPS, TIMED_STEPS = 3, 30
LOSS_TOLERANCE = 1e-3  # relative; bounds the effect of rounding over COMPARED_STEPS
WARM_UP_STEPS = 3  # before a capture: libraries choose kernels, Adam creates its state


class Step(Protocol):
    """Take a batch, update the weights, and return the loss, a tensor on the device."""

    def __call__(self, batch: Any) -> Tensor:
        """Return the loss before the update."""
        ...


class Update:
    """A plain step: update weights by the gradient of a loss."""

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


class GraphedStep:
    """An update captured as a CUDA graph, for batches of one shape: its kernels launch together.

    Random draws come from the device's generator in the order of plain updates, so seeds have the
    same effect. The optimizer must be capturable. See "Whole-network capture" in torch's notes on
    CUDA graphs.
    """

    def __init__(
        self,
        update: Callable[[Tensor], Tensor],
        module: nn.Module,
        optimizer: Optimizer,
        batch: Tensor,
    ) -> None:
        self.batch = batch.clone()
        current, side = torch.cuda.current_stream(batch.device), torch.cuda.Stream(batch.device)
        with preserved(module, optimizer, batch.device):
            side.wait_stream(current)
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_STEPS):
                    update(self.batch)
            current.wait_stream(side)
        # Without gradients, the capture allocates them in the graph's private memory.
        optimizer.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        # "thread_local": threads that fetch batches may call CUDA during the capture.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.loss = update(self.batch).detach()

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the loss before the update; the next call overwrites it."""
        self.batch.copy_(batch)
        self.graph.replay()
        return self.loss


class SameShape:
    """Take batches of one shape by an accelerated step, and others by a plain step."""

    def __init__(self, accelerated: Step, plain: Step, batch: Tensor) -> None:
        self.accelerated = accelerated
        self.plain = plain
        self.shape = batch.shape

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the loss before the update."""
        return (self.accelerated if batch.shape == self.shape else self.plain)(batch)


def make_step(trainer: pl.Trainer, acceleration: Acceleration, batch: Any) -> Step:
    """Return the step of a training, for batches such as `batch`.

    "compile" compiles the loss with torch.compile; "cuda_graph" captures the update; "auto" does so
    on one CUDA device if that is faster than plain steps; "none" returns plain steps. An
    accelerated step is tried first, without a trace in the weights. If it fails, or if its losses
    differ from those of plain steps by more than rounding, plain steps are returned and standard
    error says why; likewise if an acceleration that was selected by name does not apply.
    """
    module, optimizer = trainer.lightning_module, trainer.optimizers[0]
    plain = Update(trainer.strategy.training_step, optimizer)
    if acceleration == "none":
        return plain
    if reason := _obstacle(trainer, acceleration):
        warn_if_selected(acceleration, reason)
        return plain
    assert isinstance(module, LitAutoencoder)
    accelerated, reason = _try(acceleration, module, optimizer, batch)
    if reason:
        _warn(acceleration, reason)
    return SameShape(accelerated, plain, batch) if accelerated else plain


def warn_if_selected(acceleration: Acceleration, reason: str) -> None:
    """Say that an acceleration is not used, unless it was not selected by name."""
    if acceleration not in ("auto", "none"):
        _warn(acceleration, reason)


@rank_zero_only
def _warn(acceleration: Acceleration, reason: str) -> None:
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
        return f"{type(trainer.lightning_module).__name__} is not a LitAutoencoder"
    return ""


def _try(
    acceleration: Acceleration, module: LitAutoencoder, optimizer: Optimizer, batch: Any
) -> tuple[Step | None, str]:
    """Return an accelerated update, or None and the reason; "" if it is merely not faster."""
    plain = Update(module.training_loss, optimizer)
    hook, module._current_fx_name = module._current_fx_name, None  # `log` raises during the trial
    try:
        if acceleration == "compile":
            accelerated: Step = Update(_compiled(module.training_loss), optimizer)
        else:
            make_capturable(optimizer, batch.device)
            accelerated = GraphedStep(plain, module, optimizer, batch)
        reason = disagreement(accelerated, plain, module, optimizer, batch)
    except MisconfigurationException:
        return None, "" if acceleration == "auto" else "the module logs in its training step"
    except Exception as error:  # compilers and drivers raise errors of any type
        return None, f"it failed ({one_line(error)})"
    finally:
        optimizer.zero_grad()
        module._current_fx_name = hook
    if reason or acceleration != "auto":
        return (None if reason else accelerated), reason
    plain_seconds = seconds(plain, module, optimizer, batch)
    is_faster = seconds(accelerated, module, optimizer, batch) < plain_seconds
    return (accelerated if is_faster else None), ""


def _compiled(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    # With fallback_random, random draws are those of plain steps: a function of seed and epoch.
    return torch.compile(loss, dynamic=False, options={"fallback_random": True})


def make_capturable(optimizer: Optimizer, device: torch.device) -> None:
    """Keep the numbers that an Adam changes in tensors on the device, as a graph requires.

    Schedules write the learning rate into its tensor.
    """
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)


@contextmanager
def preserved(module: nn.Module, optimizer: Optimizer, device: torch.device) -> Iterator[None]:
    """Restore weights, buffers, the optimizer's state and the generators on exit.

    All stay the same tensors, as a CUDA graph requires. State that the optimizer creates meanwhile
    becomes 0, as in an Adam before its first step.
    """
    before = {id(each): each.detach().clone() for each in _tensors(module, optimizer)}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for each in _tensors(module, optimizer):
                each.copy_(before[id(each)]) if id(each) in before else each.zero_()


def _tensors(module: nn.Module, optimizer: Optimizer) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    for state in optimizer.state.values():
        yield from (each for each in state.values() if isinstance(each, Tensor))


def disagreement(
    accelerated: Step, plain: Step, module: nn.Module, optimizer: Optimizer, batch: Tensor
) -> str:
    """Return a description of how the losses of two updates differ; "" if only by rounding."""
    losses = []
    for update in (accelerated, plain):
        with preserved(module, optimizer, batch.device):
            losses.append([update(batch).item() for _ in range(COMPARED_STEPS)])
    actual, expected = map(torch.tensor, losses)
    if torch.allclose(actual, expected, rtol=LOSS_TOLERANCE, atol=0.0, equal_nan=True):
        return ""
    return f"its losses are {losses[0]}, but those of plain steps are {losses[1]}"


def seconds(update: Step, module: nn.Module, optimizer: Optimizer, batch: Tensor) -> float:
    """Return the duration of TIMED_STEPS updates, in seconds."""
    with preserved(module, optimizer, batch.device):
        for _ in range(COMPARED_STEPS):
            update(batch)
        _synchronize(batch.device)
        start = time.perf_counter()
        for _ in range(TIMED_STEPS):
            update(batch)
        _synchronize(batch.device)
        return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
