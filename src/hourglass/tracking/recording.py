"""The recording of a stage in MLflow, by a child process that never stops the stage.

MLflow takes seconds to import and its database can be slow, so each stage starts one child
(`hourglass.tracking.recording_process`) for both. The child reads the files that the stage writes.
Standard input tells it when: "training" once the files of a live training exist, then "finished" or
"failed". If the stage is killed, the input ends without a message, and the run stays open for the
training that resumes.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hourglass.core.paths import Cell

TRAINING, FINISHED, FAILED = "training", "finished", "failed"  # the messages
# The files of a training under way, in its checkpoint folder.
SETTINGS, EPOCHS = "settings.yaml", "epochs.jsonl"
END_TIMEOUT_SECONDS = 600  # after which a stage no longer waits for its recording


class RecordingProcess:
    """The child process that records a stage of a cell, or the comparison."""

    def __init__(self, stage: str, cell: Cell | None = None) -> None:
        names = [cell.data, cell.model] if cell else []
        # This package comes first; modules of the user follow.
        path = [str(Path(__file__).parents[2]), *filter(None, [os.getenv("PYTHONPATH")])]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hourglass.tracking.recording_process", stage, *names],
            stdin=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )

    def follow_training(self) -> None:
        """Start to record epochs: the checkpoint folder holds the files of the training."""
        assert self._child.stdin
        with suppress(BrokenPipeError):  # `end` reports the death of the child
            self._child.stdin.write(f"{TRAINING}\n".encode())

    def end(self, message: str) -> None:
        """Tell how the stage ended, and wait until that is recorded."""
        try:
            self._child.communicate(f"{message}\n".encode(), timeout=END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
        if self._child.returncode:
            report_unrecorded(f"the recording process ended with status {self._child.returncode}")


@contextmanager
def recording(stage: str, cell: Cell | None = None) -> Iterator[RecordingProcess]:
    """Record the stage that the block runs: as finished, or as failed if the block raises."""
    process = RecordingProcess(stage, cell)
    try:
        yield process
    except BaseException:
        process.end(FAILED)
        raise
    process.end(FINISHED)


def report_unrecorded(reason: object, command: str = "hourglass record --all") -> None:
    """Print why something is missing in MLflow, and the command that completes the record."""
    sentence = (
        f"not recorded in MLflow: {str(reason).rstrip('.')}; `{command}` completes the record."
    )
    print(f"hourglass: {sentence}", file=sys.stderr, flush=True)
