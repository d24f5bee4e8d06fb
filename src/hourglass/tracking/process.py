"""The process that keeps the record in MLflow; `hourglass.tracking.recorder` is the other end.

It reads one JSON object a line from standard input, `{"method": ..., "arguments": ...}`, the method
being one of `hourglass.tracking.record.Record`, or for a study of `StudyRecord` beside it, and
answers only where the caller waits.
"""

from hourglass.warm.client import hand_over

if __name__ == "__main__" and "warm" not in globals():
    hand_over({"module": "hourglass.tracking.process"})

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hourglass.errors import Refusal, one_line
from hourglass.tracking.record import Record
from hourglass.tracking.studies import StudyRecord

KINDS = {"cell": Record, "study": StudyRecord}
ANSWERED = ("row", "open", "finish")


def main() -> None:
    """Serve one stage until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which tells us
    # Whatever libraries print must not stand among the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    record, refusal = _attempt(KINDS[sys.argv[2]], Path(sys.argv[1]))
    for line in sys.stdin:
        call, result = json.loads(line), None
        if not refusal:
            result, refusal = _attempt(getattr(record, call["method"]), **call["arguments"])
        if call["method"] in ANSWERED:
            answer = {"refusal": refusal} if refusal else {"result": result}
            print(json.dumps(answer), file=answers, flush=True)
    sys.stderr.flush()
    os._exit(0)  # all is written; to take MLflow and torch apart would cost a stage a second


def _attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """Return a function's result, and what to tell the stage where there is none.

    After the first failure nothing more is written: the stage fails with its sentence.
    """
    try:
        return function(*args, **kwargs), ""
    except Refusal as refusal:
        return None, str(refusal)
    except Exception as error:
        return None, f"MLflow could not record `{function.__name__}` ({one_line(error)})."


if __name__ == "__main__":
    main()
