"""Prefetch items in a thread, and read mapped files in bounded memory."""

import mmap
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

PREFETCHED_ITEMS = 2
COPY_BLOCK_BYTES = 2**22

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], ahead: int = PREFETCHED_ITEMS) -> Iterator[Item]:
    """Yield items, none of them None; a thread computes up to `ahead` of them in advance.

    Errors in the thread are raised here. The thread ends after the last item, after an error, or if
    the iterator is closed.
    """
    iterator = iter(items)
    thread = ThreadPoolExecutor(1, "prefetch")
    try:
        futures = deque(thread.submit(next, iterator, None) for _ in range(ahead))
        while (item := futures.popleft().result()) is not None:
            futures.append(thread.submit(next, iterator, None))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)


def copy_to_memory(x: np.ndarray) -> np.ndarray:
    """Return a contiguous copy of rows (n, *S); release the pages of a mapped file meanwhile."""
    copy = np.empty(x.shape, x.dtype)
    rows = max(1, COPY_BLOCK_BYTES // max(1, copy[:1].nbytes))
    for start in range(0, len(x), rows):
        copy[start : start + rows] = x[start : start + rows]
        release_pages(x)
    return copy


def release_pages(x: np.ndarray) -> None:
    """Release pages from memory if `x` is (a view of) a mapped file.

    The next access reads them again from the page cache or the file.
    """
    advise(x, "MADV_DONTNEED")


def advise(x: np.ndarray, advice: str) -> None:
    """Give the system an madvise hint if `x` is (a view of) a mapped file; Windows has no hints."""
    base: object = x
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, advice):
        base.madvise(getattr(mmap, advice))
