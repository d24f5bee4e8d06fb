"""How samples pass through a network: batch by batch, on all cores."""

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
from torch.nn.modules.conv import _ConvNd

from hourglass.core.allocator import keep_freed_memory
from hourglass.data.batches import Scaled
from hourglass.data.scaling import Scaling
from hourglass.data.streaming import release_pages
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Network

# From a batch as a network sees it to something about each sample, (N, ...).
Extractor: TypeAlias = Callable[[ForwardCache], Tensor]
Made = TypeVar("Made")

BATCH_SIZE = 32_768  # samples at once, at most, on one core or two
HELD = 2**26  # bytes of a mapped file, about, that are held before they are let go of
ELEMENTS = 2**19  # of a batch where it is widest: what a layer makes of it then stays near a core


def best_device() -> torch.device:
    """Return the first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batch_size(x: np.ndarray | Tensor, widest: int = 0, cores: int = 1) -> int:
    """Return how many samples, (N, *S), go through a network at once: the fewer, the larger.

    Either they, or what the network makes of each, `widest` elements. Where more than two `cores`
    share each batch there are more.
    """
    size = max(1, min(BATCH_SIZE, ELEMENTS // max(widest, math.prod(x.shape[1:]))))
    return size * max(1, cores // 2)


def map_samples(network: Network, look: Extractor, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the look at every unscaled sample: (N, *S) -> (N, ...)."""
    return np.concatenate([found for (found,) in map_batches(network, x, scaling, look)])


def map_batches(
    network: Network, x: np.ndarray, scaling: Scaling, *wanted: Extractor, meanwhile: bool = False
) -> Iterator[list[np.ndarray]]:
    """Yield the wanted looks at each batch of unscaled samples, (N, *S), in order.

    The network sees each sample once. `meanwhile` the caller computes with each batch: by threads
    of numpy's, say, which would fight torch's for the cores if they took turns. Of a mapped file
    little more than HELD is held; to let go of each batch has the threads wait for each other's
    pages.
    """
    device = best_device()
    network.to(device)
    widest = network.widest if device.type == "cpu" else 0  # a GPU wants many, and holds them
    at_once, sharing = _crew(network, device, meanwhile)
    starts = _starts(len(x), batch_size(x, widest, sharing), at_once)
    scaled = Scaled(scaling, device)
    now_and_then = max(1, HELD // max(1, x[: starts.step].nbytes)) * starts.step

    def look(start: int) -> list[np.ndarray]:
        # Shares the memory and does not warn, as `from_numpy` does, that it may not be written to.
        part = torch.from_dlpack(x[start : start + starts.step])
        found = _seen(network, scaled(part.to(device)), wanted)
        if start and start % now_and_then == 0:
            release_pages(x)
        return found

    return _in_order(look, starts, at_once)


def on_device(network: Network, batch: Tensor, *wanted: Extractor) -> list[np.ndarray]:
    """Return looks at one batch, computed where the network is fastest, each part of it once."""
    device = best_device()
    return _seen(network.to(device), batch.to(device), wanted)


def _seen(network: Network, batch: Tensor, wanted: tuple[Extractor, ...]) -> list[np.ndarray]:
    """Return looks at a batch that is where the network is."""
    view = ForwardCache(network, batch)
    with torch.inference_mode():
        return [look(view).cpu().numpy() for look in wanted]


def batched(module: nn.Module, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Return what a function of the module makes of scaled samples or codes: (N, ...) -> (N, ...).

    The module is moved to where it is fastest, and a batch at a time follows it.
    """
    device = best_device()
    module.to(device)
    at_once, sharing = _crew(module, device)
    starts = _starts(len(x), batch_size(x, cores=sharing), at_once)

    def part(start: int) -> np.ndarray:
        batch = torch.from_dlpack(x[start : start + starts.step])
        with torch.inference_mode():
            return function(batch.to(device)).cpu().numpy()

    return np.concatenate(list(_in_order(part, starts, at_once)))


def _crew(module: nn.Module, device: torch.device, meanwhile: bool = False) -> tuple[int, int]:
    """Return how many batches are at work at once, and how many cores share each of them.

    Products share well: all cores compute each layer of a dense network together, for a batch a
    core would have their threads wait for Python's lock at each of its short layers. Convolutions
    do not: there each core takes batches of its own, or they would wait for each other.
    """
    if device.type != "cpu":
        return 1, 1
    cores = torch.get_num_threads()
    convolves = any(isinstance(each, _ConvNd) for each in module.modules())
    return (cores, 1) if convolves or meanwhile else (1, cores)


def _starts(samples: int, size: int, at_once: int) -> range:
    """Return where batches of at most `size` samples start, shared out evenly."""
    if samples <= size:
        return range(0, samples, size)
    rounds = -(-samples // (size * at_once))
    return range(0, samples, -(-samples // (rounds * at_once)))


def _in_order(function: Callable[[int], Made], starts: range, at_once: int) -> Iterator[Made]:
    """Yield what a function makes of each start, in order, by as many threads as work at once."""
    keep_freed_memory()
    if min(at_once, len(starts)) < 2:
        yield from map(function, starts)
        return
    pool, process = _single_threaded(at_once), os.getpid()
    waiting: deque[Future[Made]] = deque()
    try:
        # MKL knows one number for all threads, which the last one that says it sets.
        pool.submit(torch.set_num_threads, 1).result()
        for start in starts:
            waiting.append(pool.submit(function, start))
            if len(waiting) > 2 * at_once:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:  # who asks for no more may change the network: none may be at work with it
        if os.getpid() == process:  # a fork has none of the threads
            wait([each for each in waiting if not each.cancel()])
            torch.set_num_threads(at_once)


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
