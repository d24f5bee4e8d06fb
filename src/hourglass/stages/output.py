"""The output of a stage: its lock, its folder, its timings and the start of its recording."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hourglass.core.atomic import atomic_folder, write_json
from hourglass.core.locks import file_lock
from hourglass.core.paths import Cell
from hourglass.tracking.recording import RecordingProcess, recording

LOCKS = Path("checkpoints")  # not an output of a stage: DVC neither hashes nor deletes it


@contextmanager
def stage_folder(stage: str, folder: Path, name: str = "") -> Iterator[Path]:
    """Yield a temporary folder that replaces `folder` once the block succeeds.

    `name` is the data set or cell that the stage works on. One process at a time writes it; others
    print a message and wait.
    """
    with stage_lock(stage, name), atomic_folder(folder) as temporary:
        yield temporary


@contextmanager
def stage_lock(stage: str, name: str = "") -> Iterator[None]:
    """Hold the lock of a data set, a cell, or a stage that works on all of them."""
    locked = name or stage
    with file_lock(LOCKS / f"{locked}.lock", f"{locked}: another command writes it"):
        yield


@dataclass
class CellOutput:
    """The output of one stage of a cell while it is written."""

    folder: Path  # temporary, renamed once the stage succeeds
    recorder: RecordingProcess
    timing: dict[str, Any] = field(default_factory=dict)  # values that differ from run to run


@contextmanager
def cell_stage(stage: str, cell: Cell, *needs: str) -> Iterator[CellOutput]:
    """Run a stage of a cell: lock it, write its folder atomically, and have MLflow record it.

    `needs` are the stages that must have written their folders before. Timings go to
    tracking/<stage>.json, because DVC locks nothing that differs from run to run. If the block
    raises, nothing is left behind and the MLflow run of a training is marked as failed. The stage
    does not depend on MLflow: the recording starts with it and reads its files once it has ended.
    """
    with stage_lock(stage, cell.name):
        cell.need(*needs)
        start = time.perf_counter()
        with recording(stage, cell) as recorder:
            with atomic_folder(cell.output(stage)) as temporary:
                output = CellOutput(temporary, recorder)
                yield output
            output.timing.setdefault("seconds", time.perf_counter() - start)
            write_json(cell.tracking / f"{stage}.json", output.timing)
