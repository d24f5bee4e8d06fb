"""A wall-clock limit for calls of the MLflow store, and the error of an unavailable store."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StoreUnavailable(Exception):
    """A temporary failure of the store: the same call may succeed later."""


class _TimeUpError(BaseException):
    """The end of a time limit; no Exception, because MLflow catches and ignores some of those."""


@contextmanager
def time_limit(seconds: float, reason: str) -> Iterator[None]:
    """Raise StoreUnavailable(reason) in the block after this wall-clock time.

    Timeouts of MLflow and of databases apply to single reads of a socket, so a slow answer can
    take any time. Limits may be nested. There is no limit on Windows, which has no such
    signal, and outside the main thread, which alone receives it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise _TimeUpError

    begun, handler = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    # The signal repeats, as Python ignores exceptions in destructors.
    outer, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    except _TimeUpError:
        raise StoreUnavailable(reason) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:
            rest = max(outer - (time.monotonic() - begun), 0.001)
            signal.setitimer(signal.ITIMER_REAL, rest, interval)
