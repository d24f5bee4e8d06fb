"""Inference: map samples through a network in batches, on a GPU or on all CPU cores."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hourglass.core.memory_allocator import keep_freed_memory
from hourglass.data.batches import Scaled
from hourglass.data.scaling import Scaling
from hourglass.data.streaming import release_pages
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Network

# A function: forward pass of a batch -> one row per sample, (N, ...).
Extractor: TypeAlias = Callable[[ForwardCache], Tensor]
Result = TypeVar("Result")

MAX_BATCH_SAMPLES = 32_768  # on one or two cores
MAX_BATCH_ELEMENTS = 2**19  # of the widest layer, so that a batch fits the CPU cache
RELEASE_BYTES = 2**26  # approximate bytes read from a mapped file before its pages are released


def best_device() -> torch.device:
    """Return the first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batch_size(x: np.ndarray | Tensor, widest: int = 0, cores: int = 1) -> int:
    """Return the number of samples of `x`, (N, *S), per batch, which limits its elements.

    `widest` is the number of elements of a sample in the network's widest layer; it counts if it
    exceeds the number in `x`. If more than two `cores` share a batch, the batch is larger.
    """
    size = max(1, min(MAX_BATCH_SAMPLES, MAX_BATCH_ELEMENTS // max(widest, math.prod(x.shape[1:]))))
    return size * max(1, cores // 2)


def map_samples(
    network: Network, extract: Extractor, x: np.ndarray, scaling: Scaling
) -> np.ndarray:
    """Apply an extractor to all unscaled samples: (N, *S) -> (N, ...)."""
    return np.concatenate([array for (array,) in map_batches(network, x, scaling, extract)])


def map_batches(
    network: Network,
    x: np.ndarray,
    scaling: Scaling,
    *extractors: Extractor,
    overlap: bool = False,
) -> Iterator[list[np.ndarray]]:
    """Yield the extractors' outputs for each batch of unscaled samples, (N, *S), in order.

    The extractors share one forward pass. Set `overlap` if the caller post-processes batches with
    NumPy, whose threads would otherwise compete with torch's for the cores. If `x` is a mapped
    file, its pages are released every RELEASE_BYTES, since threads wait for each other during a
    release.
    """
    device = best_device()
    network.to(device)
    widest = network.widest if device.type == "cpu" else 0  # a GPU is fastest with large batches
    workers, cores = _parallelism(network, device, overlap)
    starts = _batch_starts(len(x), batch_size(x, widest, cores), workers)
    scaled = Scaled(scaling, device)
    release_interval = max(1, RELEASE_BYTES // max(1, x[: starts.step].nbytes)) * starts.step

    def extract(start: int) -> list[np.ndarray]:
        # Unlike `from_numpy`, `from_dlpack` shares read-only memory without a warning.
        batch = torch.from_dlpack(x[start : start + starts.step])
        arrays = _extract(network, scaled(batch.to(device)), extractors)
        if start and start % release_interval == 0:
            release_pages(x)
        return arrays

    return _map_in_order(extract, starts, workers)


def map_batch(network: Network, batch: Tensor, *extractors: Extractor) -> list[np.ndarray]:
    """Return the extractors' outputs for one scaled batch, on the best device."""
    device = best_device()
    return _extract(network.to(device), batch.to(device), extractors)


def _extract(
    network: Network, batch: Tensor, extractors: tuple[Extractor, ...]
) -> list[np.ndarray]:
    forward = ForwardCache(network, batch)
    with torch.inference_mode():
        return [extract(forward).cpu().numpy() for extract in extractors]


def batched(module: nn.Module, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Apply a function of a module to scaled samples or codes in batches: (N, ...) -> (N, ...).

    The module is moved to the best device first.
    """
    device = best_device()
    module.to(device)
    workers, cores = _parallelism(module, device)
    starts = _batch_starts(len(x), batch_size(x, cores=cores), workers)

    def apply(start: int) -> np.ndarray:
        batch = torch.from_dlpack(x[start : start + starts.step])
        with torch.inference_mode():
            return function(batch.to(device)).cpu().numpy()

    return np.concatenate(list(_map_in_order(apply, starts, workers)))


def _parallelism(module: nn.Module, device: torch.device, overlap: bool = False) -> tuple[int, int]:
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


def _map_in_order(
    function: Callable[[int], Result], starts: range, workers: int
) -> Iterator[Result]:
    """Compute the function of every start in worker threads; yield the results in order."""
    keep_freed_memory()
    if min(workers, len(starts)) < 2:
        yield from map(function, starts)
        return
    # MKL has one thread count per process; the last thread to set it wins.
    pool = ThreadPoolExecutor(workers, "scoring", torch.set_num_threads, (1,))
    pending: deque[Future[Result]] = deque()
    try:
        for start in starts:
            pending.append(pool.submit(function, start))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # the caller may change the network next, so wait for the threads
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(workers)
