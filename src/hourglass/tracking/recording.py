"""The recording of a command in MLflow, by a child process whose failure does not stop the command.

MLflow takes seconds to import and its store can be slow. A command therefore starts one child
process (`hourglass.tracking.recorder`), which reads the files that the command writes. The
command sends messages to the child's standard input: "training" once the files of a running
training exist, and finally "finished" or "failed". If the command is killed, the input ends without
a final message, and the MLflow run stays open for the resumed training.
"""

import os
import subprocess
import sys
from contextlib import suppress

from hourglass.core.errors import UserError
from hourglass.core.installation import python_path
from hourglass.core.paths import Cell

TRAINING, FINISHED, FAILED = "training", "finished", "failed"  # the messages
# Files of a running training, in its checkpoint folder.
SETTINGS, EPOCHS = "settings.yaml", "epochs.jsonl"
RECORD_COMMAND = "hourglass record --all"
LIMIT_VARIABLE = "HOURGLASS_RECORD_SECONDS"
DEFAULT_LIMIT, MAX_LIMIT = 60, 86400
GRACE_SECONDS = 5  # in which the child reports that it exceeded the limit
INTERRUPT_SECONDS = 3  # how long the command waits for its recording after Ctrl-C


class RecordingProcess:
    """A context manager: a child process that records the command which runs in the block.

    The child runs `module` with the arguments `words`. `completing_command` completes the record
    after a failure.
    """

    def __init__(self, module: str, *words: str, completing_command: str = RECORD_COMMAND) -> None:
        self._limit, self._completing_command = record_seconds(), completing_command
        self._child = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": python_path()},
        )

    def follow_training(self) -> None:
        """Let the child record epochs; SETTINGS and EPOCHS must exist in the checkpoint folder."""
        assert self._child.stdin
        with suppress(BrokenPipeError):  # the end of the block reports the death of the child
            self._child.stdin.write(f"{TRAINING}\n".encode())

    def __enter__(self) -> "RecordingProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Send FINISHED, or FAILED after an exception; wait for the child for a limited time."""
        message = FAILED if kind else FINISHED
        is_interrupted = kind is not None and not issubclass(kind, Exception)  # by Ctrl-C
        timeout = INTERRUPT_SECONDS if is_interrupted else self._limit + GRACE_SECONDS
        try:
            self._child.communicate(f"{message}\n".encode(), timeout=timeout)
            status = self._child.returncode
            reason = f"the recording process ended with status {status}" if status else ""
        except subprocess.TimeoutExpired:
            reason = time_is_up(self._limit)
        finally:
            self._child.kill()
            self._child.wait()
        if reason and not is_interrupted:
            report_unrecorded(reason, self._completing_command)


def recording(stage: str, cell: Cell | None = None) -> RecordingProcess:
    """Record the stage that runs in the block, as failed if the block raises an exception."""
    names = [cell.data, cell.model] if cell else []
    return RecordingProcess("hourglass.tracking.stage_recorder", stage, *names)


def record_seconds() -> float:
    """Return the time limit of one record in MLflow: HOURGLASS_RECORD_SECONDS, 60 by default."""
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT)
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= MAX_LIMIT:
            return seconds
    raise UserError(
        f"{LIMIT_VARIABLE} is {text!r}, but must be a number of seconds above 0, at most "
        f"{MAX_LIMIT}."
    )


def time_is_up(seconds: float) -> str:
    """Return the reason for ending a record after its time limit."""
    return f"MLflow took more than {seconds:g} s, the limit that {LIMIT_VARIABLE} sets"


def report_unrecorded(reason: object, command: str = RECORD_COMMAND) -> None:
    """Print the reason for an incomplete record in MLflow, and the command that completes it."""
    sentence = (
        f"not recorded in MLflow: {str(reason).rstrip('.')}; `{command}` completes the record."
    )
    print(f"hourglass: {sentence}", file=sys.stderr, flush=True)
