"""The Optuna storage: opening, retries of killed trials, and errors of an unreachable database."""

import os
import sqlite3
import time
import warnings
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root
from hourglass.tuning.locks import STORAGE_VARIABLE, storage_url, wait_for_database
from hourglass.tuning.trial_attributes import FAILURE, VALUES

HEARTBEAT_SECONDS = 5
GRACE_SECONDS = 30  # without a heartbeat; Optuna then considers a trial stale
MAX_RETRIES = 5  # per trial, if its process is killed every time

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    _enqueue_again = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)


def storage_exists() -> bool:
    """Return whether studies may exist: a storage is configured, or optuna.db exists."""
    return bool(os.environ.get(STORAGE_VARIABLE)) or (root() / "optuna.db").exists()


def open_storage() -> BaseStorage:
    """Return the storage: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project root.

    Raises a UserError if it cannot be opened.
    """
    url = storage_url()
    _check_url(url)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with FileLock(root() / "optuna.db.lock"):  # two processes would both create the tables
            return _open(url)
    except Exception as error:  # of SQLAlchemy or the driver, or a missing driver
        if "already exists" in str(error):  # another machine has just created the tables
            time.sleep(1)
            return _open(url)
        cause = (error.__cause__ if isinstance(error, ImportError) else None) or error
        raise UserError(
            f"the Optuna storage {url} cannot be opened ({one_line(cause)}); correct "
            f"{STORAGE_VARIABLE}, or unset it to use ./optuna.db."
        ) from None


def retry_trial(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueue a killed trial again with its values, unless its training had failed before.

    Optuna calls this for trials without a heartbeat.
    """
    # A trial without all of its values is not needed: the next trial draws the same values.
    drawn = VALUES in trial.user_attrs or "fixed_params" in trial.system_attrs
    if drawn and FAILURE not in trial.user_attrs:
        # All other attributes of the killed trial describe an unfinished training.
        trial.user_attrs = {key: trial.user_attrs[key] for key in trial.user_attrs if key == VALUES}
        _enqueue_again(study, trial)


class _Connection(sqlite3.Connection):
    """A connection to a SQLite file that does not wait for the disk after each write.

    A trial writes about thirty times. Because of the write-ahead log, a killed process loses no
    writes. A power cut may lose the last writes, but the file remains intact.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def _open(url: str) -> BaseStorage:
    engine: dict[str, Any] = {"pool_pre_ping": True}
    is_file = url.startswith("sqlite")
    if is_file:
        # Wait for writes of other workers for up to a minute, instead of SQLite's 5 seconds.
        engine = {"connect_args": {"timeout": 60, "factory": _Connection}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = RDBStorage(
            url,
            engine_kwargs=engine,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=retry_trial,
        )
    if not is_file:
        wait_for_database(storage.engine)
    return storage


def is_unreachable(error: BaseException | None) -> bool:
    """Return whether an error is a failed connection to the database, not a failed statement."""
    if isinstance(error, StorageInternalError):
        error = error.__cause__
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, OperationalError)


def _check_url(url: str) -> None:
    """Raise a UserError if a URL is invalid, or an unescaped @ could reveal its password."""
    try:
        valid = "@" not in (make_url(url).host or "")
    except (ArgumentError, ValueError):
        valid = False
    if not valid:
        raise UserError(
            f"{STORAGE_VARIABLE} is not the URL of a database; write @ in its user and password as "
            "%40."
        )
