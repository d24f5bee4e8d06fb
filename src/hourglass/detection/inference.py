"""Inference: map samples through a network in batches, on a GPU or on all CPU cores."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hourglass.core.memory_allocator import keep_freed_memory
from hourglass.data.batches import Scaled
from hourglass.data.scaling import Encoding
from hourglass.data.tiling import Tiles
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Network

# A function: forward pass of a batch -> one row per sample, (N, ...).
Extractor: TypeAlias = Callable[[ForwardCache], Tensor]
Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH_SAMPLES = 32_768  # on one or two cores
# Limits of the rows that small batches are filled up to, and of elements in the widest layer.
MIN_FILLED_ROWS, MAX_FILLED_ROWS, MAX_FILLED_ELEMENTS = 32, 256, 2**15
MAX_BATCH_ELEMENTS = 2**19  # of the widest layer, so that a batch fits the CPU cache


def best_device() -> torch.device:
    """Return the first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batch_size(x: np.ndarray | Tensor | Tiles, widest: int = 0, cores: int = 1) -> int:
    """Return the number of samples of `x`, (N, *S), per batch, which limits its elements.

    `widest` is the number of elements of a sample in the network's widest layer; it counts if it
    exceeds the number in `x`. If more than two `cores` share a batch, the batch is larger.
    """
    size = max(1, min(MAX_BATCH_SAMPLES, MAX_BATCH_ELEMENTS // max(widest, math.prod(x.shape[1:]))))
    return size * max(1, cores // 2)


def min_rows(network: Network) -> int:
    """Return the number of rows that small batches are filled up to; 1 for large networks."""
    rows = min(MAX_FILLED_ROWS, MAX_FILLED_ELEMENTS // network.widest)
    return rows if rows >= MIN_FILLED_ROWS else 1


def map_samples(
    network: Network, extract: Extractor, x: np.ndarray | Tiles, scaling: Encoding
) -> np.ndarray:
    """Apply an extractor to all unscaled samples: (N, *S) -> (N, ...)."""
    return np.concatenate([array for (array,) in map_batches(network, x, scaling, extract)])


def map_batches(
    network: Network,
    x: np.ndarray | Tiles,
    scaling: Encoding,
    *extractors: Extractor,
    overlap: bool = False,
) -> Iterator[list[np.ndarray]]:
    """Yield the extractors' outputs for each batch of unscaled samples or tiles, (N, *S), in order.

    The extractors share one forward pass. Set `overlap` if the caller post-processes batches with
    NumPy, whose threads would otherwise compete with torch's for the cores.
    """
    device = best_device()
    scaled = Scaled(scaling, device)
    widest = network.widest if device.type == "cpu" else 0  # a GPU is fastest with large batches
    return _map_in_batches(
        network, lambda batch: _extract(network, scaled(batch), extractors), x, widest, overlap
    )


def map_batch(network: Network, batch: Tensor, *extractors: Extractor) -> list[np.ndarray]:
    """Return the extractors' outputs for one scaled batch, on the best device."""
    device = best_device()
    return _extract(network.to(device), batch.to(device), extractors)


def batched(module: nn.Module, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Apply a function of a module to scaled samples or codes in batches: (N, ...) -> (N, ...).

    The module is moved to the best device first.
    """
    arrays = _map_in_batches(module, lambda batch: function(batch).cpu().numpy(), x)
    return np.concatenate(list(arrays))


def _extract(
    network: Network, batch: Tensor, extractors: tuple[Extractor, ...]
) -> list[np.ndarray]:
    forward = ForwardCache(network, batch, min_rows(network))
    with torch.inference_mode():
        return [extract(forward).cpu().numpy() for extract in extractors]


def _map_in_batches(
    module: nn.Module,
    function: Callable[[Tensor], Result],
    x: np.ndarray | Tiles,
    widest: int = 0,
    overlap: bool = False,
) -> Iterator[Result]:
    """Move a module to the best device; yield a function's results for batches of `x`, in order."""
    device = best_device()
    module.to(device)
    workers, cores = parallelism(module, device, overlap)
    starts = _batch_starts(len(x), batch_size(x, widest, cores), workers)

    def apply(start: int) -> Result:
        # Unlike `from_numpy`, `from_dlpack` shares read-only memory without a warning.
        batch = torch.from_dlpack(x[start : start + starts.step])
        with torch.inference_mode():
            return function(batch.to(device))

    return map_in_order(apply, starts, workers)


def parallelism(module: nn.Module, device: torch.device, overlap: bool) -> tuple[int, int]:
    """Return the number of concurrent batches and the number of cores per batch.

    A dense network runs one batch on all cores: with one batch per core, threads would wait for
    the interpreter lock between its short layers. Convolutions scale badly within a batch, so each
    core runs a separate batch.
    """
    if device.type != "cpu":
        return 1, 1
    cores = torch.get_num_threads()
    convolutional = any(isinstance(layer, _ConvNd) for layer in module.modules())
    return (cores, 1) if convolutional or overlap else (1, cores)


def _batch_starts(samples: int, size: int, workers: int) -> range:
    """Return the first index of each batch of at most `size` samples, balanced over workers."""
    if samples <= size:
        return range(0, samples, size)
    rounds = -(-samples // (size * workers))
    return range(0, samples, -(-samples // (rounds * workers)))


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Compute the function of every item in worker threads; yield the results in order."""
    keep_freed_memory()
    if min(workers, len(items)) < 2:
        yield from map(function, items)
        return
    # MKL has one thread count per process; the last thread to set it wins.
    pool = ThreadPoolExecutor(workers, "scoring", torch.set_num_threads, (1,))
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # the caller may change the network next, so wait for the threads
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(workers)
