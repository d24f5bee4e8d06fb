"""The Optuna storage: how it is opened, and retries for databases that restart."""

import os
import sqlite3
import time
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import (
    BaseStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    _CachedStorage,
)
from optuna.trial import FrozenTrial
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root
from hourglass.tuning import locks
from hourglass.tuning.locks import STORAGE_VARIABLE, locked, storage_url
from hourglass.tuning.trial_attributes import FAILURE, VALUES

HEARTBEAT_SECONDS = 5
GRACE_SECONDS = 60  # without a heartbeat, after which Optuna considers a trial stale
MAX_RETRIES = 5  # of a trial whose process is killed every time

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    _enqueue_again = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)


def storage_exists() -> bool:
    """Return whether there may be studies: a storage is configured, or optuna.db exists."""
    return bool(os.environ.get(STORAGE_VARIABLE)) or (root() / "optuna.db").exists()


def open_storage() -> BaseStorage:
    """Return the storage: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project root.

    Raises a UserError if it cannot be opened.
    """
    url = storage_url()
    _check_url(url)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            with locked(retry_seconds=0):  # two processes would both create the tables
                return _open(url)
        except Exception as error:  # SQLAlchemy's, the driver's, or a missing driver
            if "already exists" in str(error):  # another machine has just created the tables
                time.sleep(1)
                return _open(url)
            wraps_cause = isinstance(error, ImportError | UserError)
            cause = (error.__cause__ if wraps_cause else None) or error
            raise UserError(
                f"the Optuna storage {url} cannot be opened ({one_line(cause)}); correct "
                f"{STORAGE_VARIABLE}, or unset it to use ./optuna.db."
            ) from None


def retry_trial(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueue a killed trial again with its values, unless its training had failed before.

    Optuna calls this for trials without a heartbeat, `study.retry_killed` for those of killed
    processes of this machine.
    """
    # If not all values were drawn, nothing is lost: the next draw gives the same ones.
    drawn = VALUES in trial.user_attrs or "fixed_params" in trial.system_attrs
    if drawn and FAILURE not in trial.user_attrs:
        # Everything else that the killed process stored describes an unfinished training.
        trial.user_attrs = {key: trial.user_attrs[key] for key in trial.user_attrs if key == VALUES}
        _enqueue_again(study, trial)


class _Connection(sqlite3.Connection):
    """Connect to a SQLite file whose writes do not wait for the disk.

    With a write-ahead log a killed process loses nothing; a power cut may lose the last writes, and
    the file remains intact. Each trial writes about thirty times.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def _open(url: str) -> BaseStorage:
    heartbeat: Any = {
        "heartbeat_interval": HEARTBEAT_SECONDS,
        "grace_period": GRACE_SECONDS,
        "heartbeat_stale_trial_callback": retry_trial,
    }
    if url.startswith("sqlite:"):
        # Other workers write as well: wait for them for a minute, not for SQLite's 5 seconds.
        engine = {"connect_args": {"timeout": 60, "factory": _Connection}}
        return RDBStorage(url, engine_kwargs=engine, **heartbeat)
    return retrying(RDBStorage(url, engine_kwargs={"pool_pre_ping": True}, **heartbeat))


def retrying(storage: RDBStorage) -> BaseStorage:
    """Return a storage that repeats each call for a minute while its database is unreachable.

    Every call is idempotent except the creation of a trial: if the reply is lost, a second trial
    without a worker remains, and `study.retry_killed` fails it. Optuna has no such retry, and
    `pool_pre_ping` only replaces connections that broke between two calls.
    """
    cached = _CachedStorage(storage)  # Optuna adds the cache to a bare RDBStorage only
    bases = _CachedStorage.__bases__  # BaseStorage and BaseHeartbeat, the interfaces that it calls
    names = {name for base in bases for name in getattr(base, "__abstractmethods__", ())}
    names |= {"get_trial_id_from_study_id_trial_number", "get_best_trial", "remove_session"}
    methods = {name: _retry_call(getattr(cached, name)) for name in names}
    wrapped: BaseStorage = type("RetryingStorage", bases, methods)()
    return wrapped


def _retry_call(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(_: BaseStorage, *args: Any, **kwargs: Any) -> Any:
        end = time.monotonic() + locks.RETRY_SECONDS
        while True:
            try:
                return method(*args, **kwargs)
            except (StorageInternalError, SQLAlchemyError) as error:
                if not is_unreachable(error) or time.monotonic() > end:
                    raise
            time.sleep(locks.PAUSE_SECONDS)

    return call


def is_unreachable(error: BaseException | None) -> bool:
    """Return whether the connection failed, and not the statement."""
    if isinstance(error, StorageInternalError):
        error = error.__cause__
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, OperationalError)


def _check_url(url: str) -> None:
    """Raise a UserError if a URL cannot be parsed, or a password in it could be shown."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if "@" not in (make_url(url).host or ""):
            return
    except (ArgumentError, ValueError):
        pass
    raise UserError(
        f"{STORAGE_VARIABLE} is not the URL of a database; write @ in its user and password as %40."
    )
