"""Locks, output folders, timings and MLflow recording, shared by all stages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hourglass.core.atomic import atomic_folder, write_json
from hourglass.core.installation import require_pinned_version
from hourglass.core.locks import file_lock
from hourglass.core.paths import Cell
from hourglass.core.progress import step
from hourglass.tracking.recording import RecordingProcess, recording

LOCKS = Path("checkpoints")  # no stage outputs this folder, so DVC does not hash or delete it


@contextmanager
def stage_folder(stage: str, folder: Path, name: str = "") -> Iterator[Path]:
    """Yield a temporary folder that replaces `folder` after the block succeeds.

    The block holds the lock of `stage_lock(stage, name)`.
    """
    with stage_lock(stage, name), atomic_folder(folder) as temporary:
        yield temporary


@contextmanager
def stage_lock(stage: str, name: str = "") -> Iterator[None]:
    """Hold the lock of a data set or cell, `name`, or of a stage that processes all of them.

    Another process that needs the lock prints a message and waits. Raises a UserError if the
    workspace pins another version of this package.
    """
    require_pinned_version()
    locked = name or stage
    lock = file_lock(LOCKS / f"{locked}.lock", f"{locked}: another command writes it")
    with lock, step(f"{stage} {name}".rstrip()):
        yield


@dataclass
class CellOutput:
    """The unfinished output of one stage of a cell."""

    folder: Path  # temporary; renamed after the stage succeeds
    recorder: RecordingProcess
    timing: dict[str, Any] = field(default_factory=dict)  # values that differ between runs


@contextmanager
def cell_stage(stage: str, cell: Cell, *needs: str) -> Iterator[CellOutput]:
    """Lock a cell, write the folder of a stage atomically, and record the stage in MLflow.

    `needs` are the stages that must have written their folders before. Timings are written to
    tracking/<stage>.json, outside the folder, because outputs of DVC must be reproducible. If the
    block raises, the temporary folder is deleted, and the MLflow run of a training is marked as
    failed. A child process records the stage from its files, so the stage itself needs no MLflow.
    """
    with stage_lock(stage, cell.name):
        cell.require(*needs)
        start = time.perf_counter()
        with recording(stage, cell) as recorder:
            with atomic_folder(cell.output(stage)) as temporary:
                output = CellOutput(temporary, recorder)
                yield output
            output.timing.setdefault("seconds", time.perf_counter() - start)
            write_json(cell.tracking / f"{stage}.json", output.timing)
