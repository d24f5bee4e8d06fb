"""The process that keeps the record in MLflow; `hourglass.tracking.recorder` is the other end.

It reads one JSON object a line from standard input, `{"method": ..., "arguments": ...}`, the method
being one of `hourglass.tracking.runs.Record`, or for a study of `StudyRecord` beside it, and
answers only where the caller waits: with the `result`, or why there is none, `away` or `refusal`.
"""

from hourglass.core.fork_server.client import hand_over

if __name__ == "__main__" and "in_fork" not in globals():
    hand_over({"module": "hourglass.tracking.process"})

import json
import os
import queue
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from hourglass.tracking.retry_queue import PAUSE, Clerk
from hourglass.tracking.runs import Record
from hourglass.tracking.store import reach, tracking_uri
from hourglass.tuning.mlflow_record import StudyRecord

KINDS = {"cell": Record, "study": StudyRecord}


def main() -> None:
    """Serve one stage until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which tells us
    # Whatever libraries print must not stand among the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    root = Path(sys.argv[1])
    clerk = Clerk(partial(KINDS[sys.argv[2]], root), tracking_uri(root), reach)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    clerk.catch_up()  # MLflow is imported while the stage imports
    while line := _next(lines, clerk):
        answer = clerk.take(json.loads(line))
        if answer:
            print(json.dumps(answer), file=answers, flush=True)
    sys.stderr.flush()
    os._exit(0)  # all is written; to take MLflow and torch apart would cost a stage a second


def _read(lines: "queue.SimpleQueue[str]") -> None:
    """Take what the stage tells from the pipe at once: it must not wait where the store is away."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")


def _next(lines: "queue.SimpleQueue[str]", clerk: Clerk) -> str:
    """Return the next line, "" at the end; while the store is away, see whether it is back."""
    while True:
        try:
            return lines.get(timeout=PAUSE if clerk.away else None)
        except queue.Empty:
            clerk.catch_up()


if __name__ == "__main__":
    main()
