"""Try a step of a training without a trace: what its losses are, and how long it takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

COMPARED = 3  # steps that two ways are compared by
TIMED = 30  # steps that say which of two is faster
ROUNDING = 1e-3  # of a loss: what rounding may make in so few steps


@contextmanager
def preserved(module: nn.Module, optimizer: Optimizer, device: torch.device) -> Iterator[None]:
    """Give weights, buffers, the optimizer's state and the generators back as they were.

    All stay the same tensors, which a CUDA graph needs. A state that the optimizer makes meanwhile
    becomes 0, as that of an Adam that has made no step.
    """
    kept = {id(each): each.detach().clone() for each in _tensors(module, optimizer)}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for each in _tensors(module, optimizer):
                each.copy_(kept[id(each)]) if id(each) in kept else each.zero_()


def _tensors(module: nn.Module, optimizer: Optimizer) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    for state in optimizer.state.values():
        yield from (each for each in state.values() if isinstance(each, Tensor))


def disagreement(
    one: Callable[[Tensor], Tensor],
    other: Callable[[Tensor], Tensor],
    module: nn.Module,
    optimizer: Optimizer,
    batch: Tensor,
) -> str:
    """Return how the losses of two updates differ, in words; "" where only by rounding."""
    losses = []
    for update in (one, other):
        with preserved(module, optimizer, batch.device):
            losses.append([update(batch).item() for _ in range(COMPARED)])
    ours, theirs = map(torch.tensor, losses)
    if torch.allclose(ours, theirs, rtol=ROUNDING, atol=0.0, equal_nan=True):
        return ""
    return f"its losses are {losses[0]} where plain steps have {losses[1]}"


def seconds(
    update: Callable[[Tensor], Tensor], module: nn.Module, optimizer: Optimizer, batch: Tensor
) -> float:
    """Return how long some dozens of updates take, in seconds."""
    with preserved(module, optimizer, batch.device):
        for _ in range(COMPARED):
            update(batch)
        _wait(batch.device)
        start = time.perf_counter()
        for _ in range(TIMED):
            update(batch)
        _wait(batch.device)
        return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
