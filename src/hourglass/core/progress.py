"""Progress on standard error: a line about the current work, every ten seconds or less often.

`step` is for work without countable units. `core.progress_bar` is for work with units; it is a
separate module, because it imports tqdm.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

FIRST_SECONDS = 10  # before the first line; shorter work is silent
REPEAT_FRACTION = 0.1  # of the elapsed time, between two lines, so that long work prints few lines
THREAD = "progress"  # name of the thread that prints

Message: TypeAlias = Callable[[], str | None]  # None prints no line
_messages: list[Message] = []  # of the work in progress, the innermost last


@contextmanager
def step(text: str) -> Iterator[None]:
    """Report the block as `text` with its duration, unless an inner block reports instead."""
    start = time.monotonic()

    def message() -> str:
        minutes, seconds = divmod(int(time.monotonic() - start), 60)
        return f"{text}, {minutes:02}:{seconds:02}"

    with reporting(message):
        yield


@contextmanager
def reporting(message: Message) -> Iterator[None]:
    """Print the messages of the innermost block from a thread while the block runs.

    The intervals between lines depend on the duration of the outermost block.
    """
    _messages.append(message)
    ended = threading.Event()
    thread = threading.Thread(target=_report, name=THREAD, args=(ended,), daemon=True)
    if len(_messages) == 1:
        thread.start()
    try:
        yield
    finally:
        if message in _messages:  # otherwise an outer block ended first, after an error
            del _messages[_messages.index(message) :]
        ended.set()
        if thread.ident:
            thread.join()


def _report(ended: threading.Event) -> None:
    start = time.monotonic()
    while not ended.wait(max(FIRST_SECONDS, REPEAT_FRACTION * (time.monotonic() - start))):
        line = _messages[-1]() if _messages else None
        if line:
            print(line, file=sys.stderr, flush=True)
