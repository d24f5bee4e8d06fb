"""The process that records a stage in MLflow; `hourglass.tracking.recorder` starts it."""

from hourglass.core.fork_server.client import hand_over

if __name__ == "__main__" and "in_fork" not in globals():
    hand_over({"module": "hourglass.tracking.process"})

import os
import queue
import signal
import sys
import threading
import time

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, root
from hourglass.tracking.live import LiveTraining
from hourglass.tracking.record import record_cell, record_report
from hourglass.tracking.recorder import FINISHED, TRAINING, report_unrecorded
from hourglass.tracking.runs import Runs
from hourglass.tracking.store import (
    StoreUnavailable,
    check_reachable,
    store_errors,
    tracking_uri,
)

POLL_SECONDS = 1.0  # between two looks at a training's epochs, or two attempts to connect
RESTART_SECONDS = 6.0  # at the end of a stage, for a store that was reachable during it


class StageRecorder:
    """Record one stage; an error of MLflow is kept and the work tried again at the next call."""

    def __init__(self, stage: str, cell: Cell | None = None) -> None:
        self.stage, self.cell = stage, cell
        self.runs: Runs | None = None
        self.live: LiveTraining | None = None
        self.is_training = False
        self.error: StoreUnavailable | UserError | None = None

    def poll(self) -> None:
        """Connect to the store, and record the epochs of a training so far."""
        self._try("")

    def end(self, word: str) -> None:
        """Record the end of the stage; a store that was reachable before may be restarting."""
        deadline = time.monotonic() + RESTART_SECONDS
        self._try(word)
        while (
            self.runs and isinstance(self.error, StoreUnavailable) and time.monotonic() < deadline
        ):
            time.sleep(POLL_SECONDS / 2)
            self._try(word)
        if self.error and word == FINISHED:
            report_unrecorded(self.error)

    def _try(self, word: str) -> None:
        try:
            with store_errors(f"record {self.stage}"):
                self._record(word)
            self.error = None
        except (StoreUnavailable, UserError) as error:
            self.error = error

    def _record(self, word: str) -> None:
        if self.error:
            check_reachable(tracking_uri(root()))  # MLflow itself would wait longer
        self.runs = self.runs or Runs(root())
        if self.is_training and self.cell:
            self.live = self.live or LiveTraining(self.runs, self.cell)
            if word:
                self.live.close("FINISHED" if word == FINISHED else "FAILED")
            else:
                self.live.log_epochs()
        if word == FINISHED and self.cell:
            record_cell(self.runs, self.cell, classified=self.stage == "classify")
        elif word == FINISHED:
            record_report(self.runs)


def main() -> None:
    """Record the stage that the command line names, until its process says how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which reports it
    sys.stdout = sys.stderr  # the output of libraries is no output of the stage
    stage, *names = sys.argv[1:]
    recorder = StageRecorder(stage, Cell(*names) if names else None)
    words: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_words, args=(words,), daemon=True).start()
    recorder.poll()  # imports MLflow while the stage imports its own libraries
    while (word := _next_word(words, recorder)) == TRAINING:
        recorder.is_training = True
        recorder.poll()
    if word:
        recorder.end(word)
    sys.stderr.flush()
    os._exit(0)  # unloading MLflow and its threads would take the stage a second


def _read_words(words: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        words.put(line.strip())
    words.put("")


def _next_word(words: "queue.SimpleQueue[str]", recorder: StageRecorder) -> str:
    """Return the next word, "" after the last; meanwhile follow the training."""
    while True:
        try:
            return words.get(timeout=POLL_SECONDS if recorder.is_training else None)
        except queue.Empty:
            recorder.poll()


if __name__ == "__main__":
    main()
