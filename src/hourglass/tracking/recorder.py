"""The child process that records a command in MLflow: its main loop and its retries."""

import os
import queue
import signal
import sys
import threading
import time

from hourglass.core.errors import UserError
from hourglass.core.paths import root
from hourglass.tracking.connection import check_reachable, store_errors, tracking_uri
from hourglass.tracking.recording import FINISHED, RECORD_COMMAND, TRAINING, report_unrecorded
from hourglass.tracking.runs import Runs
from hourglass.tracking.time_limit import StoreUnavailable

POLL_SECONDS = 1.0  # between two updates while the command runs
RESTART_SECONDS = 6.0  # how long to wait for a store that restarts at the end


class Recorder:
    """The recording of one command; after an error of MLflow, the next call tries again.

    `name` is the recorded object. If `follows` is true, it is also recorded while the command runs.
    """

    completing_command = RECORD_COMMAND

    def __init__(self, name: str, follows: bool = False) -> None:
        self.name, self.follows = name, follows
        self.runs: Runs | None = None
        self.error: StoreUnavailable | UserError | None = None

    def record(self, message: str) -> None:
        """Record the state of the files; `message` is FINISHED, FAILED, or "" before the end."""
        raise NotImplementedError

    def poll(self) -> None:
        """Connect to the store, and record what is finished so far."""
        self._try("")

    def end(self, message: str) -> None:
        """Record the end; retry if the store was reachable before, as it may restart."""
        deadline = time.monotonic() + RESTART_SECONDS
        self._try(message)
        while (
            self.runs and isinstance(self.error, StoreUnavailable) and time.monotonic() < deadline
        ):
            time.sleep(POLL_SECONDS / 2)
            self._try(message)
        if self.error and message == FINISHED:
            report_unrecorded(self.error, self.completing_command)

    def _try(self, message: str) -> None:
        try:
            with store_errors(f"record {self.name}"):
                if self.error:
                    check_reachable(tracking_uri(root()))  # MLflow itself would wait longer
                self.record(message)
            self.error = None
        except (StoreUnavailable, UserError) as error:
            self.error = error


def serve(recorder: Recorder) -> None:
    """Record until the command reports its end or is killed; then end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command handles Ctrl-C and reports it
    sys.stdout = sys.stderr  # keep libraries from writing into the output of the command
    messages: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_messages, args=(messages,), daemon=True).start()
    recorder.poll()  # imports MLflow while the command imports its own libraries
    while (message := _next_message(messages, recorder)) == TRAINING:
        recorder.follows = True
        recorder.poll()
    if message:
        recorder.end(message)
    sys.stderr.flush()
    os._exit(0)  # unloading MLflow and its threads would delay the command by a second


def _read_messages(messages: "queue.SimpleQueue[str]") -> None:
    """Put the lines of standard input into a queue, and "" at the end of the input."""
    for line in sys.stdin:
        messages.put(line.strip())
    messages.put("")


def _next_message(messages: "queue.SimpleQueue[str]", recorder: Recorder) -> str:
    """Wait for the next message, "" after the last; meanwhile poll a recorder that follows."""
    while True:
        try:
            return messages.get(timeout=POLL_SECONDS if recorder.follows else None)
        except queue.Empty:
            recorder.poll()
