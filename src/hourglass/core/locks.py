"""File locks: one command at a time writes the same files; the others say so and wait."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path, reason: str) -> Iterator[None]:
    """Hold the lock in `path`; where another process has it, say the reason and wait.

    The system takes a lock from a process that ends, however it ends: a kill leaves none behind.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"hourglass: {reason}; waiting for its end.", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_rank_zero() -> bool:
    """Return whether this is the process of rank 0; the others are started with their rank set."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
