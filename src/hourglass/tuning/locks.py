"""The lock that serialises access to the Optuna studies, across processes and machines.

Processes of one machine share a file lock. If the studies are in PostgreSQL, machines also share an
advisory lock of the database, which PostgreSQL releases when the transaction of its holder ends.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import Any

from filelock import FileLock
from sqlalchemy import Engine, create_engine, event, func, select

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root, sqlite_url

STORAGE_VARIABLE = "HOURGLASS_OPTUNA_STORAGE"
RETRY_SECONDS = 60  # maximum outage of a database, for example during a restart
PAUSE_SECONDS = 0.5  # between two attempts
CONNECT_TIMEOUT_SECONDS = 10  # per attempt
# PostgreSQL releases the lock of an unreachable machine after a minute; Linux's default is 2 h.
KEEPALIVE = (
    "SET LOCAL tcp_keepalives_idle=30; SET LOCAL tcp_keepalives_interval=10; "
    "SET LOCAL tcp_keepalives_count=3"
)


def storage_url() -> str:
    """Return the URL of the studies: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project root.

    PostgreSQL is accessed with psycopg 3, unless the URL names another driver.
    """
    url = os.environ.get(STORAGE_VARIABLE) or sqlite_url(root() / "optuna.db")
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


@contextmanager
def locked(name: str = "") -> Iterator[None]:
    """Hold the lock of this name for the duration of the block; a killed process releases it."""
    url = storage_url()
    shared = _advisory_lock(url, name) if url.startswith("postgresql") else nullcontext()
    with FileLock(root() / f"optuna.db{name and f'.{name}'}.lock"), shared:
        yield


@contextmanager
def _advisory_lock(url: str, name: str) -> Iterator[None]:
    digest = hashlib.sha256(f"hourglass {name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    with _engine(url).begin() as connection:
        connection.exec_driver_sql(KEEPALIVE)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
        yield


@cache
def _engine(url: str) -> Engine:
    engine = create_engine(url, pool_pre_ping=True)
    wait_for_database(engine)
    return engine


def wait_for_database(engine: Engine) -> None:
    """Let an engine wait for an unreachable database for a minute whenever it connects."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        if dialect.name == "postgresql":  # a host that drops packets would block for minutes
            options.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        end = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < end:
            with suppress(dialect.loaded_dbapi.OperationalError):
                return dialect.connect(*arguments, **options)
            time.sleep(PAUSE_SECONDS)
        return None  # SQLAlchemy then connects itself, and raises the error


def no_response(error: BaseException) -> UserError:
    """Return the error to report if the storage stops responding."""
    return UserError(
        f"the Optuna storage did not respond ({one_line(error)}); the study is kept, and the same "
        "command resumes it."
    )
