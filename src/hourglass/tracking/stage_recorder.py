"""The child process that records a stage in MLflow, started by `hourglass.tracking.recording`.

It reads one message per line from standard input: TRAINING, FINISHED or FAILED. The end of the
input without FINISHED or FAILED means that the stage was killed.
"""

from hourglass.core.fork_server.client import run_in_fork_server

if __name__ == "__main__" and "in_fork" not in globals():
    run_in_fork_server({"module": "hourglass.tracking.stage_recorder"})

import os
import queue
import signal
import sys
import threading
import time

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, root
from hourglass.tracking.connection import (
    StoreUnavailable,
    check_reachable,
    store_errors,
    tracking_uri,
)
from hourglass.tracking.live_epochs import LiveTraining
from hourglass.tracking.record import record_cell, record_report
from hourglass.tracking.recording import FINISHED, TRAINING, report_unrecorded
from hourglass.tracking.runs import Runs

POLL_SECONDS = 1.0  # between two reads of a training's epochs
RESTART_SECONDS = 6.0  # how long to wait for a store that restarts at the end of a stage


class StageRecorder:
    """The recording of one stage; after an error of MLflow, the next call tries again."""

    def __init__(self, stage: str, cell: Cell | None = None) -> None:
        self.stage, self.cell = stage, cell
        self.runs: Runs | None = None
        self.live: LiveTraining | None = None
        self.is_training = False
        self.error: StoreUnavailable | UserError | None = None

    def poll(self) -> None:
        """Connect to the store, and record the epochs that are finished so far."""
        self._try("")

    def end(self, message: str) -> None:
        """Record the end of the stage; retry if the store was reachable before: it may restart."""
        deadline = time.monotonic() + RESTART_SECONDS
        self._try(message)
        while (
            self.runs and isinstance(self.error, StoreUnavailable) and time.monotonic() < deadline
        ):
            time.sleep(POLL_SECONDS / 2)
            self._try(message)
        if self.error and message == FINISHED:
            report_unrecorded(self.error)

    def _try(self, message: str) -> None:
        try:
            with store_errors(f"record {self.stage}"):
                self._record(message)
            self.error = None
        except (StoreUnavailable, UserError) as error:
            self.error = error

    def _record(self, message: str) -> None:
        if self.error:
            check_reachable(tracking_uri(root()))  # MLflow itself would wait longer
        self.runs = self.runs or Runs(root())
        if self.is_training and self.cell:
            self.live = self.live or LiveTraining(self.runs, self.cell)
            if message:
                self.live.close("FINISHED" if message == FINISHED else "FAILED")
            else:
                self.live.log_epochs()
        if message == FINISHED and self.cell:
            record_cell(self.runs, self.cell, classified=self.stage == "classify")
        elif message == FINISHED:
            record_report(self.runs)


def main() -> None:
    """Record the stage given on the command line until its process reports the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage handles Ctrl-C and reports it
    sys.stdout = sys.stderr  # keep libraries from writing into the output of the stage
    stage, *names = sys.argv[1:]
    recorder = StageRecorder(stage, Cell(*names) if names else None)
    messages: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_messages, args=(messages,), daemon=True).start()
    recorder.poll()  # imports MLflow while the stage imports its own libraries
    while (message := _next_message(messages, recorder)) == TRAINING:
        recorder.is_training = True
        recorder.poll()
    if message:
        recorder.end(message)
    sys.stderr.flush()
    os._exit(0)  # unloading MLflow and its threads would delay the stage by a second


def _read_messages(messages: "queue.SimpleQueue[str]") -> None:
    """Put the lines of standard input into a queue, and "" at the end of the input."""
    for line in sys.stdin:
        messages.put(line.strip())
    messages.put("")


def _next_message(messages: "queue.SimpleQueue[str]", recorder: StageRecorder) -> str:
    """Wait for the next message, "" after the last; record epochs of a training meanwhile."""
    while True:
        try:
            return messages.get(timeout=POLL_SECONDS if recorder.is_training else None)
        except queue.Empty:
            recorder.poll()


if __name__ == "__main__":
    main()
