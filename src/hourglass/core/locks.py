"""File locks: one command at a time writes the same files; others print a message and wait."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path, reason: str) -> Iterator[None]:
    """Hold the lock in `path`; if another process holds it, print the reason and wait.

    `reason` says why, for example "another `hourglass repro` runs in this folder".

    The operating system releases the lock of a process that ends, even if it is killed.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"hourglass: {reason}; waiting until it ends.", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_rank_zero() -> bool:
    """Return whether this process has rank 0, the default if no launcher set a rank."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
