"""The recording of a stage in MLflow, by a child process whose failure does not stop the stage.

MLflow takes seconds to import and its database can be slow. A stage therefore starts one child
process (`hourglass.tracking.stage_recorder`), which reads the files that the stage writes. The
stage sends messages to the child's standard input: "training" once the files of a running training
exist, and finally "finished" or "failed". If the stage is killed, the input ends without a final
message, and the MLflow run stays open for the resumed training.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hourglass.core.paths import Cell

TRAINING, FINISHED, FAILED = "training", "finished", "failed"  # the messages
# Files of a running training, in its checkpoint folder.
SETTINGS, EPOCHS = "settings.yaml", "epochs.jsonl"
END_TIMEOUT_SECONDS = 600  # maximum time that a stage waits for its recording


class RecordingProcess:
    """The child process that records a stage of a cell, or the comparison."""

    def __init__(self, stage: str, cell: Cell | None = None) -> None:
        names = [cell.data, cell.model] if cell else []
        # This package comes first; modules of the user follow.
        path = [str(Path(__file__).parents[2]), *filter(None, [os.getenv("PYTHONPATH")])]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hourglass.tracking.stage_recorder", stage, *names],
            stdin=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )

    def follow_training(self) -> None:
        """Let the child record epochs; SETTINGS and EPOCHS must exist in the checkpoint folder."""
        assert self._child.stdin
        with suppress(BrokenPipeError):  # `end` reports the death of the child
            self._child.stdin.write(f"{TRAINING}\n".encode())

    def end(self, message: str) -> None:
        """Send the final message, FINISHED or FAILED, and wait for the child to end."""
        try:
            self._child.communicate(f"{message}\n".encode(), timeout=END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
        if self._child.returncode:
            report_unrecorded(f"the recording process ended with status {self._child.returncode}")


@contextmanager
def recording(stage: str, cell: Cell | None = None) -> Iterator[RecordingProcess]:
    """Record the stage that runs in the block, as failed if the block raises an exception."""
    process = RecordingProcess(stage, cell)
    try:
        yield process
    except BaseException:
        process.end(FAILED)
        raise
    process.end(FINISHED)


def report_unrecorded(reason: object, command: str = "hourglass record --all") -> None:
    """Print the reason for an incomplete record in MLflow, and the command that completes it."""
    sentence = (
        f"not recorded in MLflow: {str(reason).rstrip('.')}; `{command}` completes the record."
    )
    print(f"hourglass: {sentence}", file=sys.stderr, flush=True)
