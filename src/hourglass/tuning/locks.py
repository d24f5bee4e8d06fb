"""Whose turn it is: the lock by which all who share the studies do one thing at a time.

Processes of one machine take turns by a file; where the studies are in PostgreSQL, machines do so
by an advisory lock of its, which ends with the session of whoever held it.
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

VARIABLE = "HOURGLASS_OPTUNA_STORAGE"
PATIENCE = 60  # seconds that a PostgreSQL may be away, such as while it is restarted
PAUSE = 0.5  # seconds between two tries
# A machine that vanished without a word holds its turn for a minute, not for two hours.
ALIVE = "SET tcp_keepalives_idle=30; SET tcp_keepalives_interval=10; SET tcp_keepalives_count=3"


def storage_url() -> str:
    """Return where the studies are: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project's root.

    PostgreSQL is spoken to by psycopg 3, unless the URL names another driver.
    """
    url = os.environ.get(VARIABLE) or f"sqlite:///{(root() / 'optuna.db').as_posix()}"
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


@contextmanager
def locked(what: str = "", patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock, or the one for `what`, while the block lasts; a killed process holds none.

    Raises a UserError where PostgreSQL does not answer for `patience` seconds.
    """
    url = storage_url()
    shared = _shared_lock(url, what, patience) if url.startswith("postgresql") else nullcontext()
    with FileLock(root() / f"optuna.db{what and f'.{what}'}.lock"), shared:
        yield


@contextmanager
def _shared_lock(url: str, what: str, patience: float) -> Iterator[None]:
    from sqlalchemy import make_url

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    digest = hashlib.sha256(f"hourglass {what}".encode()).digest()
    connection = _acquire(plain, int.from_bytes(digest[:8], "big", signed=True), patience)
    try:
        yield
    finally:
        connection.close()  # which gives the lock back


def _acquire(url: str, key: int, patience: float) -> "psycopg.Connection[Any]":
    """Return a connection that holds the lock, however often PostgreSQL breaks it off before."""
    import psycopg

    end = time.monotonic() + patience
    while True:
        try:
            connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
            connection.execute(ALIVE)
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
            return connection
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise silent(error) from error
        time.sleep(PAUSE)


def silent(error: BaseException) -> UserError:
    """Return what to say of a storage that does not answer any more."""
    return UserError(
        f"the Optuna storage did not answer ({one_line(error)}); the study is kept, and the same "
        "command goes on with it."
    )
