"""How samples pass through a network: batch by batch, a batch a core."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hourglass.allocator import keep_freed_memory
from hourglass.data.batches import Scaled
from hourglass.data.scaling import Scaling
from hourglass.data.streaming import let_go
from hourglass.networks import Network
from hourglass.scorers.view import View

# From a batch as a network sees it to something about each sample, (N, ...).
Look: TypeAlias = Callable[[View], Tensor]
Made = TypeVar("Made")

BATCH_SIZE = 32_768  # samples at once, at most
HELD = 2**26  # bytes of a mapped file, about, that are held before they are let go of
ELEMENTS = 2**19  # of a batch where it is widest: what a layer makes of it then stays near a core


def best_device() -> torch.device:
    """Return the first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batch_size(x: np.ndarray | Tensor, widest: int = 0) -> int:
    """Return how many samples, (N, *S), go through a network at once: the fewer, the larger.

    Either they, or what the network makes of each, `widest` elements.
    """
    return max(1, min(BATCH_SIZE, ELEMENTS // max(widest, math.prod(x.shape[1:]))))


def apply(network: Network, look: Look, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the look at every unscaled sample: (N, *S) -> (N, ...)."""
    return np.concatenate([found for (found,) in looks(network, x, scaling, look)])


def looks(
    network: Network, x: np.ndarray, scaling: Scaling, *wanted: Look
) -> Iterator[list[np.ndarray]]:
    """Yield the wanted looks at each batch of unscaled samples, (N, *S), in order.

    The network sees each sample once. Of a mapped file little more than HELD is held; to let go of
    each batch has the threads wait for each other's pages.
    """
    device = best_device()
    network.to(device)
    widest = network.widest if device.type == "cpu" else 0  # a GPU wants many, and holds them
    scaled, starts = Scaled(scaling, device), _starts(len(x), batch_size(x, widest), device)
    now_and_then = max(1, HELD // max(1, x[: starts.step].nbytes)) * starts.step

    def look(start: int) -> list[np.ndarray]:
        # Shares the memory and does not warn, as `from_numpy` does, that it may not be written to.
        part = torch.from_dlpack(x[start : start + starts.step])
        found = _seen(network, scaled(part.to(device)), wanted)
        if start and start % now_and_then == 0:
            let_go(x)
        return found

    return _in_order(look, starts, device)


def on_device(network: Network, batch: Tensor, *wanted: Look) -> list[np.ndarray]:
    """Return looks at one batch, computed where the network is fastest, each part of it once."""
    device = best_device()
    return _seen(network.to(device), batch.to(device), wanted)


def _seen(network: Network, batch: Tensor, wanted: tuple[Look, ...]) -> list[np.ndarray]:
    """Return looks at a batch that is where the network is."""
    view = View(network, batch)
    with torch.inference_mode():
        return [look(view).cpu().numpy() for look in wanted]


def batched(module: nn.Module, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Return what a function of the module makes of scaled samples or codes: (N, ...) -> (N, ...).

    The module is moved to where it is fastest, and a batch at a time follows it.
    """
    device = best_device()
    module.to(device)
    starts = _starts(len(x), batch_size(x), device)

    def part(start: int) -> np.ndarray:
        batch = torch.from_dlpack(x[start : start + starts.step])
        with torch.inference_mode():
            return function(batch.to(device)).cpu().numpy()

    return np.concatenate(list(_in_order(part, starts, device)))


def _starts(samples: int, size: int, device: torch.device) -> range:
    """Return where batches of at most `size` samples start, shared out among the cores evenly."""
    if samples <= size:
        return range(0, samples, size)
    rounds = -(-samples // (size * _cores(device)))
    return range(0, samples, -(-samples // (rounds * _cores(device))))


def _cores(device: torch.device) -> int:
    """Return how many batches are at work at once: on a GPU, or in a thread of another, one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def _in_order(
    function: Callable[[int], Made], starts: range, device: torch.device
) -> Iterator[Made]:
    """Yield what a function makes of each start, in order.

    On the CPU each core takes batches of its own: to share every layer of every batch among the
    cores, as torch does, has them wait for each other at each layer.
    """
    if device.type == "cpu":
        keep_freed_memory()
    threads = _cores(device)
    if min(threads, len(starts)) < 2:
        yield from map(function, starts)
        return
    pool, process = _single_threaded(threads), os.getpid()
    waiting: deque[Future[Made]] = deque()
    try:
        # MKL knows one number for all threads, which the last one that says it sets.
        pool.submit(torch.set_num_threads, 1).result()
        for start in starts:
            waiting.append(pool.submit(function, start))
            if len(waiting) > 2 * threads:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:  # who asks for no more may change the network: none may be at work with it
        if os.getpid() == process:  # a fork has none of the threads
            wait([each for each in waiting if not each.cancel()])
            torch.set_num_threads(threads)


def _first(waiting: deque[Future[Made]]) -> Made:
    """Return the first result, which waits among the others until it is there."""
    made = waiting[0].result()
    waiting.popleft()
    return made


@cache
def _single_threaded(threads: int) -> ThreadPoolExecutor:
    """Return threads in each of which torch uses no others; they stay, for they start slowly."""
    pool = ThreadPoolExecutor(threads, "scoring", torch.set_num_threads, (1,))
    all_there = Barrier(threads)
    try:
        wait([pool.submit(all_there.wait) for _ in range(threads)])
    except RuntimeError:  # no more threads are to be had
        all_there.abort()
        raise
    return pool


if hasattr(os, "register_at_fork"):  # the child has none of these threads
    os.register_at_fork(after_in_child=_single_threaded.cache_clear)
