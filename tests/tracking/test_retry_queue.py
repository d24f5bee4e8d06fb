"""Who writes the record goes on where a store that was away is back, and repeats nothing."""

import errno
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    PERMISSION_DENIED,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHENTICATED,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from hourglass.core.errors import UserError
from hourglass.tracking import retry_queue as clerks
from hourglass.tracking.outage import StoreUnavailable, judged, shown
from hourglass.tracking.retry_queue import Clerk
from hourglass.tracking.runs import Record
from hourglass.tracking.store import reach, tracking_uri

SECRET = "http://anna:pass%20word@127.0.0.1:5000"


class Store:
    """Stand in for a store: it is away, refuses, or keeps what it is told."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.error: Exception | None = None

    def reach(self, uri: str) -> None:
        """Fail as the store does."""
        if self.error:
            raise self.error

    def open(self) -> "Store":
        """Return what a clerk writes with."""
        self.reach("")
        return self

    def note(self, number: int) -> None:
        """Keep a number."""
        self.reach("")
        self.kept.append(number)

    def row(self) -> str:
        """Return the id of the row."""
        self.reach("")
        return "a row"

    def finish(self, status: str) -> None:
        """End."""
        self.reach("")


@pytest.fixture
def store(monkeypatch) -> Store:
    """Give a store, and clerks that lose no time."""
    monkeypatch.setattr(clerks, "PAUSE", 0.0)
    monkeypatch.setattr(clerks, "GRACE", 0.2)
    return Store()


@pytest.fixture
def clerk(store) -> Clerk:
    return Clerk(store.open, "http://127.0.0.1:1", store.reach)


def note(clerk: Clerk, number: int) -> None:
    assert clerk.take({"method": "note", "arguments": {"number": number}}) is None


def finish(clerk: Clerk) -> dict[str, Any] | None:
    return clerk.take({"method": "finish", "arguments": {"status": "FINISHED"}})


def test_what_is_told_while_the_store_is_away_is_kept_in_order_and_once(store, clerk):
    note(clerk, 1)
    store.error = ConnectionError("gone")
    note(clerk, 2)
    note(clerk, 3)
    assert clerk.take({"method": "row", "arguments": {}}) == {"away": "gone"}
    store.error = None
    note(clerk, 4)
    assert finish(clerk) == {"result": None}
    assert store.kept == [1, 2, 3, 4]


def test_a_store_that_was_never_there_is_not_waited_for(store, clerk):
    store.error = ConnectionError("gone")
    note(clerk, 1)
    tries = []
    clerk.reach = tries.append
    assert finish(clerk) == {"away": "gone"}
    assert len(tries) == 1


def test_a_store_that_was_there_is_waited_for_at_the_end(store, clerk, monkeypatch):
    note(clerk, 1)
    store.error = ConnectionError("gone")
    note(clerk, 2)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        store.error = None if len(slept) == 3 else store.error

    monkeypatch.setattr(clerks.time, "sleep", sleep)
    assert finish(clerk) == {"result": None}
    assert store.kept == [1, 2]


def test_after_a_refusal_nothing_more_is_written(store, clerk):
    store.error = UserError("no.")
    note(clerk, 1)
    store.error = None
    note(clerk, 2)
    assert finish(clerk) == {"refusal": "no."}
    assert store.kept == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MlflowException("it restarts", TEMPORARILY_UNAVAILABLE), StoreUnavailable),
        (MlflowException("API request failed with exception: refused"), StoreUnavailable),
        (MlflowException("who are you", UNAUTHENTICATED), UserError),
        (MlflowException("not you", PERMISSION_DENIED), UserError),
        (MlflowException("what is this", BAD_REQUEST), UserError),
        (OperationalError("insert", {}, Exception("database or disk is full")), StoreUnavailable),
        (OperationalError("x", {}, Exception('authentication failed for user "anna"')), UserError),
        (DatabaseError("select", {}, Exception("file is not a database")), UserError),
        (OSError(errno.ENOSPC, "No space left on device"), StoreUnavailable),
        (OSError(errno.EROFS, "Read-only file system"), StoreUnavailable),
        (FileNotFoundError(errno.ENOENT, "No such file"), UserError),
        (requests.ConnectionError("reset"), StoreUnavailable),
        (TypeError("a mistake of ours"), UserError),
    ],
    ids=str,
)
def test_what_waiting_mends_is_away_and_all_else_is_refused(error, kind):
    assert type(judged(error, "do it", "http://127.0.0.1")) is kind


@pytest.mark.parametrize("code", [UNAUTHENTICATED, TEMPORARILY_UNAVAILABLE])
def test_no_password_is_repeated(code):
    found = judged(MlflowException(f"request to {SECRET}/api failed", code), "do it", SECRET)
    assert "127.0.0.1:5000/api" in str(found)
    assert "anna" not in str(found)
    assert "pass" not in str(found).replace("MLFLOW_TRACKING_PASSWORD", "")
    assert shown(SECRET) == "http://127.0.0.1:5000"


@pytest.mark.parametrize("statement", ["INSERT", "INSERT " + 30 * "column "], ids=["short", "long"])
def test_what_sqlalchemy_advises_its_callers_is_not_told_to_users(statement):
    """Nor a part of it, where a sentence is cut short in its midst."""
    statement = statement.strip()
    error = OperationalError(statement, {}, sqlite3.OperationalError("database or disk is full"))
    error.add_detail("raised as a result of Query-invoked autoflush; consider using a no_autoflush")
    said = str(judged(error, "do it", "sqlite:///mlflow.db"))
    assert said == f"(sqlite3.OperationalError) database or disk is full [SQL: {statement}]"


def begin(folder: Path) -> Clerk:
    """Return a clerk with the store of a folder, who was told of a training."""
    clerk = Clerk(partial(Record, folder), tracking_uri(folder), reach)
    dataset = {"name": "digits", "digest": "0", "source": "here", "counts": {}}
    arguments = {"token": "a", "replaced": "", "name": "digits-linear", "params": {}}
    clerk.take({"method": "train", "arguments": {**arguments, "dataset": dataset}})
    return clerk


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """Give the database of a store that has been written to."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert finish(begin(folder)) == {"result": None}
    return folder / "mlflow.db"


@pytest.fixture
def local(begun, tmp_path) -> Callable[[], Clerk]:
    """Give a function that takes up the training in a copy of that store."""
    shutil.copy(begun, tmp_path)
    return partial(begin, tmp_path)


def test_a_database_that_may_not_be_written_to_is_away(local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MLflow makes a folder of such an address, where it is
    uri = f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(clerks, "GRACE", 0.0)
    answer = finish(local())
    assert answer
    assert "readonly" in answer["away"]


def test_a_training_is_opened_once_when_a_locked_database_is_free_again(
    local, tmp_path, monkeypatch
):
    monkeypatch.setattr(clerks, "PAUSE", 0.0)
    uri = f"sqlite:///{tmp_path}/mlflow.db?timeout=0"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        clerk = local()
        assert "locked" in clerk.away
        database.execute("COMMIT")
    assert finish(clerk) == {"result": None}
    assert isinstance(clerk.record, Record)
    runs = clerk.record.client.search_runs([clerk.record.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"]


class Guarded(BaseHTTPRequestHandler):
    """Answer that the server is well, and let nobody in."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *words: object) -> None:
        pass


def test_a_server_that_lets_nobody_in_is_refused_at_once(tmp_path, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        answer = finish(begin(tmp_path))
        server.shutdown()
    assert answer
    assert "MLFLOW_TRACKING_PASSWORD" in answer["refusal"]
    assert ". " not in answer["refusal"]
