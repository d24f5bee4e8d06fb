"""Map a function over items in threads, in order and in bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WORKERS = min(32, os.cpu_count() or 1)  # decoders of images run without Python's lock
TASKS_AHEAD = 2 * WORKERS  # of the consumer, so that few results wait in memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], per_task: int = 16
) -> Iterator[Result]:
    """Yield the result of a function for each item, in order; WORKERS threads compute them.

    A thread takes `per_task` items at a time: more than one if results are small and fast.
    """

    def apply(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + per_task]]

    pending: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(WORKERS, "images")
    try:
        for start in range(0, len(items), per_task):
            pending.append(pool.submit(apply, start))
            if len(pending) > TASKS_AHEAD:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
