"""The lock that serialises access to the Optuna studies, across processes and machines.

Processes of one machine share a file lock. If the studies are in PostgreSQL, machines also share an
advisory lock of the database. PostgreSQL releases it when the session of its holder ends.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root

if TYPE_CHECKING:
    import psycopg

STORAGE_VARIABLE = "HOURGLASS_OPTUNA_STORAGE"
RETRY_SECONDS = 60  # maximum outage of PostgreSQL, for example during a restart
PAUSE_SECONDS = 0.5  # between two attempts
# PostgreSQL releases the lock of an unreachable machine after a minute; Linux's default is 2 h.
KEEPALIVE = "SET tcp_keepalives_idle=30; SET tcp_keepalives_interval=10; SET tcp_keepalives_count=3"


def storage_url() -> str:
    """Return the URL of the studies: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project root.

    PostgreSQL is accessed with psycopg 3, unless the URL names another driver.
    """
    url = os.environ.get(STORAGE_VARIABLE) or f"sqlite:///{(root() / 'optuna.db').as_posix()}"
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


@contextmanager
def locked(name: str = "", retry_seconds: float = RETRY_SECONDS) -> Iterator[None]:
    """Hold the lock of this name for the duration of the block; a killed process releases it.

    Raises a UserError if PostgreSQL does not respond for `retry_seconds`.
    """
    url = storage_url()
    postgres = url.startswith("postgresql")
    shared = _advisory_lock(url, name, retry_seconds) if postgres else nullcontext()
    with FileLock(root() / f"optuna.db{name and f'.{name}'}.lock"), shared:
        yield


@contextmanager
def _advisory_lock(url: str, name: str, retry_seconds: float) -> Iterator[None]:
    from sqlalchemy import make_url

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    digest = hashlib.sha256(f"hourglass {name}".encode()).digest()
    connection = _acquire(plain, int.from_bytes(digest[:8], "big", signed=True), retry_seconds)
    try:
        yield
    finally:
        connection.close()  # releases the lock


def _acquire(url: str, key: int, retry_seconds: float) -> "psycopg.Connection[Any]":
    """Return a connection that holds the lock; reconnect if PostgreSQL drops the connection."""
    import psycopg

    end = time.monotonic() + retry_seconds
    while True:
        try:
            connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
            connection.execute(KEEPALIVE)
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
            return connection
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise no_response(error) from error
        time.sleep(PAUSE_SECONDS)


def no_response(error: BaseException) -> UserError:
    """Return the error to report if the storage stops responding."""
    return UserError(
        f"the Optuna storage did not respond ({one_line(error)}); the study is kept, and the same "
        "command resumes it."
    )
