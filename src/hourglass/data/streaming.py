"""Rows of a split, as batches on a device: resident there, or fetched from memory or disk."""

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

AHEAD = 2  # batches that are made before they are asked for
BLOCK = 2**22  # bytes that are copied at a time
MAPPED = 32  # rows that are gathered at a time: for each, Linux may map two megabytes of the file

Item = TypeVar("Item")
Made = TypeVar("Made")


class Rows(Protocol):
    """Unscaled rows of a split, (n, *S), that can be taken in batches."""

    device: torch.device  # where the batches are

    def __len__(self) -> int:
        """Return n."""

    def take(self, order: Tensor | None, places: Iterable[slice]) -> Iterator[Tensor]:
        """Yield the rows at each of `places` in `order`, (m, *S); without one, as they stand."""


class Resident:
    """Rows in one tensor on the device."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.device = x.device

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x)

    def take(self, order: Tensor | None, places: Iterable[slice]) -> Iterator[Tensor]:
        """Yield the rows at each of `places`, (m, *S)."""
        if order is None:
            yield from (self.x[place] for place in places)
            return
        order = order.to(self.device)
        for place in places:
            # Copies rows; x[...] would copy elements.
            yield self.x.index_select(0, order[place])


class Streamed:
    """Rows in memory or in a mapped file, gathered by a thread while the device is at work.

    The batches are those of `Resident`, bit for bit. A mapped file does not fill the memory: its
    pages are let go of after some rows, and the system caches of them what it has room for.
    """

    def __init__(self, x: np.ndarray, device: torch.device) -> None:
        self.x = np.asarray(x)
        self.device = device
        self.pinned = device.type == "cuda"  # of the batches: what is not, is copied in step
        self.dtype = torch.from_numpy(np.empty(0, x.dtype)).dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x)

    def take(self, order: Tensor | None, places: Iterable[slice]) -> Iterator[Tensor]:
        """Yield the rows at each of `places`, (m, *S)."""
        numbers = None if order is None else order.numpy()
        # Around a row there are others of this batch only where rows are taken as they stand.
        _advise(self.x, "MADV_NORMAL" if order is None else "MADV_RANDOM")
        for batch in prefetched(lambda place: self._gather(numbers, place), places):
            yield batch.to(self.device, non_blocking=True)

    def _gather(self, numbers: np.ndarray | None, place: slice) -> Tensor:
        count = place.stop - place.start
        batch = torch.empty((count, *self.x.shape[1:]), dtype=self.dtype, pin_memory=self.pinned)
        if numbers is None:
            batch.numpy()[:] = self.x[place]
            release_pages(self.x)
            return batch
        # From the file's start to its end, each row to its place in the batch.
        for rising in np.split(np.argsort(numbers[place]), range(MAPPED, count, MAPPED)):
            batch.numpy()[rising] = self.x[numbers[place][rising]]
            release_pages(self.x)
        return batch


def prefetched(
    make: Callable[[Item], Made], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[Made]:
    """Yield what `make` makes of each item, made by a thread up to `ahead` items early.

    What is raised there is raised here. The thread ends with the items, with an error, or as soon
    as nobody asks for more and the iterator is closed.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        try:
            for item in items:
                waiting.append(thread.submit(make, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


def copied(x: np.ndarray) -> np.ndarray:
    """Return a contiguous copy of rows (n, *S), as of a mapped file, held in memory just once."""
    copy = np.empty(x.shape, x.dtype)
    rows = max(1, BLOCK // max(1, copy[:1].nbytes))
    for start in range(0, len(x), rows):
        copy[start : start + rows] = x[start : start + rows]
        release_pages(x)
    return copy


def release_pages(x: np.ndarray) -> None:
    """Take the pages that were read out of this process, if `x` is (a view of) a mapped file.

    They are read from the file again when they are asked for, or from the system's cache.
    """
    _advise(x, "MADV_DONTNEED")


def _advise(x: np.ndarray, how: str) -> None:
    """Tell the system how a mapped file is used, where it can be told: Windows cannot."""
    file, advice = mapped(x), getattr(mmap, how, None)
    if file and advice is not None:
        file.madvise(advice)


def mapped(x: np.ndarray) -> mmap.mmap | None:
    """Return the mapping that `x` is a view of, if it is one of a file."""
    base: object = x
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
