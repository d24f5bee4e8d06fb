"""Turns: of the commands that write the same files one works at a time, and the others say so."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hourglass.workspace import checked

LOCKS = Path("checkpoints")  # no output of a stage: DVC neither hashes nor deletes what is there
# What a verb writes, by the arguments that name it: a cell, what a data set has, one thing of all.
WRITES = {
    **dict.fromkeys(("train", "calibrate-threshold", "evaluate", "study"), ("data", "model")),
    **dict.fromkeys(("prepare", "baselines", "references"), ("data",)),
    **dict.fromkeys(("cells", "compare"), ()),
}


@contextmanager
def turn(verb: str, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Hold the lock of what a verb writes; where another process has it, say so and wait.

    Verbs that only read a cell hold none: they are told by its seals where it changes under them.
    The other ranks of a training belong to the process that has its lock.
    """
    if verb not in WRITES or not is_main_process():
        yield
        return
    names = [checked(str(arguments[name])) for name in WRITES[verb]]
    what = "-".join(names) or verb
    with alone(LOCKS / f"{what}.lock", f"{what}: another command writes it"):
        yield


@contextmanager
def alone(path: Path, reason: str) -> Iterator[None]:
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


def is_main_process() -> bool:
    """Return whether this is the process of rank 0; the others are started with their rank set."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
