"""Where studies are kept, and the locks by which the processes of one machine take turns."""

import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage

from hourglass.errors import Refusal, one_line
from hourglass.tuning.killed import retry
from hourglass.workspace import root

HEARTBEAT, GRACE = 5, 60  # seconds between two signs of life, and after which there is none
VARIABLE = "HOURGLASS_OPTUNA_STORAGE"


def exists() -> bool:
    """Return whether there may be studies: a storage is named, or was made here."""
    return bool(os.environ.get(VARIABLE)) or (root() / "optuna.db").exists()


def open_storage() -> RDBStorage:
    """Return the storage: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project's root.

    Raises a Refusal where it cannot be opened.
    """
    url = os.environ.get(VARIABLE) or f"sqlite:///{(root() / 'optuna.db').as_posix()}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with locked(), warnings.catch_warnings():  # two at once would each create the tables
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return _open(url)
        except Exception as error:  # SQLAlchemy's, the driver's, or a missing driver
            if "already exists" in str(error):  # another machine has just made the tables
                time.sleep(1)
                return _open(url)
            cause = (error.__cause__ if isinstance(error, ImportError) else None) or error
            raise Refusal(
                f"the Optuna storage {url} cannot be opened ({one_line(cause)}); mend "
                f"{VARIABLE}, or unset it for ./optuna.db."
            ) from None


class Connection(sqlite3.Connection):
    """Connect to a file so that a write does not wait for the disk.

    With a write-ahead log a killed process loses nothing; a power cut may lose the last writes, and
    the file stays whole. Each trial writes some thirty times.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def _open(url: str) -> RDBStorage:
    # Other workers write as well: wait a minute for them, not sqlite's 5 seconds.
    local = {"connect_args": {"timeout": 60, "factory": Connection}}
    return RDBStorage(
        url,
        engine_kwargs=local if url.startswith("sqlite:") else {"pool_pre_ping": True},
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=retry,
    )


@contextmanager
def locked(what: str = "") -> Iterator[None]:
    """Hold the lock by which the processes of this machine take turns with studies."""
    with FileLock(root() / f"optuna.db{what and f'.{what}'}.lock"):
        yield
