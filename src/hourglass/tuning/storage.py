"""Where studies are kept: how the storage is opened, and what may be said of it."""

import os
import sqlite3
import time
import warnings
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root
from hourglass.tuning.locks import VARIABLE, locked, storage_url
from hourglass.tuning.retries import retry
from hourglass.tuning.retrying_storage import RetryingStorage

HEARTBEAT, GRACE = 5, 60  # seconds between two signs of life, and after which there is none


def exists() -> bool:
    """Return whether there may be studies: a storage is named, or was made here."""
    return bool(os.environ.get(VARIABLE)) or (root() / "optuna.db").exists()


def open_storage() -> RDBStorage:
    """Return the storage: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project's root.

    Raises a UserError where it cannot be opened.
    """
    url = storage_url()
    public = _public(url)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            with locked(patience=0):  # two at once would each create the tables
                return _open(url)
        except Exception as error:  # SQLAlchemy's, the driver's, or a missing driver
            if "already exists" in str(error):  # another machine has just made the tables
                time.sleep(1)
                return _open(url)
            said = isinstance(error, ImportError | UserError)
            cause = (error.__cause__ if said else None) or error
            raise UserError(
                f"the Optuna storage {public} cannot be opened ({one_line(cause)}); mend "
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
    signs: Any = {
        "heartbeat_interval": HEARTBEAT,
        "grace_period": GRACE,
        "heartbeat_stale_trial_callback": retry,
    }
    if url.startswith("sqlite:"):
        # Other workers write as well: wait a minute for them, not sqlite's 5 seconds.
        local = {"connect_args": {"timeout": 60, "factory": Connection}}
        return RDBStorage(url, engine_kwargs=local, **signs)
    return RetryingStorage(url, engine_kwargs={"pool_pre_ping": True}, **signs)


def _public(url: str) -> str:
    """Return what of a URL may be shown: all but passwords.

    Raises a UserError where it cannot be told what of it is the password.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
        if "@" in (found.host or ""):
            raise ValueError
    except (ArgumentError, ValueError):
        raise UserError(
            f"{VARIABLE} cannot be read as the URL of a database; write @ in its user and password "
            "as %40."
        ) from None
    return found.set(query={}).render_as_string(hide_password=True)
