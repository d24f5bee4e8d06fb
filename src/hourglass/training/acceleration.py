"""Accelerated training steps: torch.compile and CUDA graphs, verified against plain steps.

`acceleration` in configs/trainer/<name>.yaml selects one of them. "auto", the default, tries a CUDA
graph on one GPU and uses it if it is faster; "none" selects plain steps. The measured
speed is in docs/benchmarks/benchmark.md.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

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

COMPARED_STEPS, TIMED_STEPS = 3, 30  # to compare the losses and the speed of two steps
LOSS_TOLERANCE = 1e-3  # relative; bounds the effect of rounding over COMPARED_STEPS
WARM_UP_STEPS = 3  # before a capture: libraries select kernels, Adam creates its state

# A function of a batch that updates the weights and returns the loss before the update, on the
# device.
Step: TypeAlias = Callable[[Any], Tensor]


def gradient_step(loss: Callable[[Any], Any], optimizer: Optimizer) -> Step:
    """Return a step without acceleration: update the weights by the gradient of a loss."""

    def step(batch: Any) -> Tensor:
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    return step


def graphed_step(step: Step, module: nn.Module, optimizer: Optimizer, batch: Tensor) -> Step:
    """Capture a step as a CUDA graph, for batches of one shape: all kernels launch together.

    Random draws come from the device's generator in the order of plain steps, so seeds have the
    same effect. The optimizer must be capturable. The next step overwrites the returned loss. See
    "Whole-network capture" in torch's notes on CUDA graphs.
    """
    static_batch = batch.clone()
    current, side = torch.cuda.current_stream(batch.device), torch.cuda.Stream(batch.device)
    with restored_on_exit(module, optimizer, batch.device):
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                step(static_batch)
        current.wait_stream(side)
    # Gradients are freed, so that the capture allocates them in the graph's private memory.
    optimizer.zero_grad()
    graph = torch.cuda.CUDAGraph()
    # "thread_local": threads that fetch batches may call CUDA during the capture.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        loss = step(static_batch).detach()

    def replay(batch: Tensor) -> Tensor:
        static_batch.copy_(batch)
        graph.replay()
        return loss

    return replay


def make_step(trainer: pl.Trainer, acceleration: Acceleration, batch: Any) -> Step:
    """Return the step of a training, accelerated for batches of the shape of `batch`.

    "compile" compiles the loss with torch.compile. "cuda_graph" captures the step as a CUDA graph;
    "auto" does so on one CUDA device if that is faster than plain steps. "none" is a plain step.

    An accelerated step is tried before the training, and the weights are restored. If it fails, or
    if its losses differ from those of plain steps by more than rounding, a plain step is returned
    and the reason is printed to standard error. The same holds if an acceleration selected by name
    does not apply.
    """
    module, optimizer = trainer.lightning_module, trainer.optimizers[0]
    plain = gradient_step(trainer.strategy.training_step, optimizer)
    if acceleration == "none":
        return plain
    if reason := _inapplicable(trainer, acceleration):
        warn_if_selected(acceleration, reason)
        return plain
    assert isinstance(module, LitAutoencoder)
    accelerated, reason = try_acceleration(acceleration, module, optimizer, batch)
    if reason:
        _warn(acceleration, reason)
    if accelerated is None:
        return plain
    shape = batch.shape
    return lambda x: (accelerated if x.shape == shape else plain)(x)


def warn_if_selected(acceleration: Acceleration, reason: str) -> None:
    """Warn that an acceleration is not used, if it was selected by name."""
    if acceleration not in ("auto", "none"):
        _warn(acceleration, reason)


@rank_zero_only
def _warn(acceleration: Acceleration, reason: str) -> None:
    print(f"acceleration: {acceleration} is not used, as {reason}.", file=sys.stderr)


def _inapplicable(trainer: pl.Trainer, acceleration: Acceleration) -> str:
    """Return the reason if an acceleration does not apply to a training, or ""."""
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


def try_acceleration(
    acceleration: Acceleration, module: LitAutoencoder, optimizer: Optimizer, batch: Any
) -> tuple[Step | None, str]:
    """Return an accelerated step, or None and the reason; "" if it works, but is not faster."""
    plain = gradient_step(module.training_loss, optimizer)
    # Without the name of a hook, `self.log` raises a MisconfigurationException.
    hook_name, module._current_fx_name = module._current_fx_name, None
    try:
        if acceleration == "compile":
            accelerated = gradient_step(_compiled(module.training_loss), optimizer)
        else:
            make_capturable(optimizer, batch.device)
            accelerated = graphed_step(plain, module, optimizer, batch)
        if reason := disagreement(accelerated, plain, module, optimizer, batch):
            return None, reason
    except MisconfigurationException:
        return None, "" if acceleration == "auto" else "the module logs in its training step"
    except Exception as error:  # compilers and drivers raise errors of any type
        return None, f"it failed ({one_line(error)})"
    finally:
        optimizer.zero_grad()
        module._current_fx_name = hook_name
    if acceleration == "auto":
        graph_seconds = time_step(accelerated, module, optimizer, batch)
        if graph_seconds >= time_step(plain, module, optimizer, batch):
            return None, ""
    return accelerated, ""


def _compiled(loss: Step) -> Step:
    # With fallback_random, random draws are those of plain steps: a function of seed and epoch.
    return torch.compile(loss, dynamic=False, options={"fallback_random": True})


def make_capturable(optimizer: Optimizer, device: torch.device) -> None:
    """Keep the state of an Adam optimizer on the device, as a CUDA graph requires.

    The learning rate becomes a tensor, whose value schedules change in place.
    """
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)


@contextmanager
def restored_on_exit(
    module: nn.Module, optimizer: Optimizer, device: torch.device
) -> Iterator[None]:
    """Restore weights, buffers, optimizer state and random generators on exit.

    Tensors are restored in place, as a CUDA graph requires. Optimizer state created in the meantime
    is set to 0, as in Adam before its first step.
    """
    before = {id(tensor): tensor.detach().clone() for tensor in _tensors(module, optimizer)}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for tensor in _tensors(module, optimizer):
                if id(tensor) in before:
                    tensor.copy_(before[id(tensor)])
                else:
                    tensor.zero_()


def _tensors(module: nn.Module, optimizer: Optimizer) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


def disagreement(
    accelerated: Step, plain: Step, module: nn.Module, optimizer: Optimizer, batch: Tensor
) -> str:
    """Return a description of the difference of two steps' losses; "" if it is only rounding."""
    losses = []
    for step in (accelerated, plain):
        with restored_on_exit(module, optimizer, batch.device):
            losses.append([step(batch).item() for _ in range(COMPARED_STEPS)])
    actual, expected = map(torch.tensor, losses)
    if torch.allclose(actual, expected, rtol=LOSS_TOLERANCE, atol=0.0, equal_nan=True):
        return ""
    return f"its losses are {losses[0]}, but those of plain steps are {losses[1]}"


def time_step(step: Step, module: nn.Module, optimizer: Optimizer, batch: Tensor) -> float:
    """Return the mean duration of a step in seconds, over TIMED_STEPS steps."""
    from torch.utils.benchmark import Timer  # waits for the GPU before it reads the clock

    timer = Timer("step(batch)", globals={"step": step, "batch": batch})
    with restored_on_exit(module, optimizer, batch.device):
        return timer.timeit(TIMED_STEPS).mean
