"""Connection to the MLflow store: URI, database, experiment and classification of errors."""

import errno
import http.client
import itertools
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root, sqlite_url
from hourglass.tracking.mlflow_env import set_variables
from hourglass.tracking.recording import record_seconds, time_is_up
from hourglass.tracking.time_limit import StoreUnavailable, time_limit
from hourglass.tracking.views import write_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

EXPERIMENT = "hourglass"
SERVER_TIMEOUT_SECONDS = 5
MAX_HEALTH_BYTES = 2**20  # MLflow sends two; an endless answer must not fill the memory
LOCK_TIMEOUT_SECONDS = 60  # another stage may be creating the database
# Errors of the disk under a local store that count as temporary.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
ACCESS_DENIED = (401, 403)
TOO_MANY_REQUESTS = 429

set_variables()


def connect(folder: Path) -> tuple["MlflowClient", str]:
    """Return a client and the id of the experiment; create the experiment if it does not exist.

    Raises StoreUnavailable if the store does not answer.
    """
    uri = tracking_uri(folder)
    check_reachable(uri)
    import mlflow

    # Silence the loggers that report an unreachable store: Hourglass reports it in one sentence.
    for name in ("store.db.utils", "system_metrics.system_metrics_monitor"):
        logging.getLogger(f"mlflow.{name}").setLevel(logging.CRITICAL)
    mlflow.set_tracking_uri(uri)
    # Without the lock, stages that start together on an empty database all create its tables.
    with store_lock(folder):
        if uri.startswith("sqlite"):
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            create_database(uri)
            # Create the default experiment; MlflowClient fails to if the path has quotes.
            SqlAlchemyStore(uri, (folder / "mlruns").as_uri())
        client = mlflow.MlflowClient(uri)
        experiment = _experiment(client, uri, folder)
    write_views(client, experiment)
    return client, str(experiment.experiment_id)


def tracking_uri(folder: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the URI of mlflow.db in the project's folder.

    A connection to mlflow.db waits 20 seconds for other writers instead of SQLite's 5.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_url(folder / "mlflow.db", timeout="20")


def create_database(uri: str) -> None:
    """Create a SQLite database with all of MLflow's tables, unless the file exists.

    MLflow takes seconds to create the tables, and it can neither use nor repair a file in which
    only some of them exist. The tables are therefore created in a temporary file, which is renamed
    once it is complete.
    """
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    url = sqlalchemy.make_url(uri)
    path = Path(url.database or ":memory:").resolve()
    is_file = path.name != ":memory:" and not str(url.database).startswith("file:")
    if not is_file or (path.exists() and path.stat().st_size):
        return
    temporary = path.with_name(f"{path.name}.writing")
    try:
        for name in (temporary.name, f"{temporary.name}-journal"):  # left by a killed process
            path.with_name(name).unlink(missing_ok=True)
        engine = sqlalchemy.create_engine(url.set(database=str(temporary)))
        try:
            _initialize_tables(engine)
        finally:
            engine.dispose()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def store_lock(folder: Path) -> AbstractContextManager[Any]:
    """Return the lock for search-and-create operations on a local store; a no-op for a server."""
    if not tracking_uri(folder).startswith("sqlite"):
        return nullcontext()
    return FileLock(folder / "mlflow.db.lock", timeout=LOCK_TIMEOUT_SECONDS)


def _experiment(client: "MlflowClient", uri: str, folder: Path) -> "Experiment":
    """Return the experiment; create the experiment if it does not exist.

    The name of a deleted experiment stays taken in MLflow, so the new one has a number appended.
    """
    first = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    artifacts = (folder / "mlruns").as_uri() if uri.startswith("sqlite") else None
    for name in itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2))):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            if name != first:
                sentence = f"MLflow's experiment {first!r} is deleted; new runs go to {name!r}."
                print(f"hourglass: {sentence}", file=sys.stderr, flush=True)
            experiment = _create_experiment(client, name, artifacts)
        if experiment.lifecycle_stage != "deleted":
            return experiment
    raise AssertionError


def _create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> "Experiment":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name, artifacts))
    except MlflowException:  # another process created it after the search
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise
        return experiment


def check_reachable(uri: str) -> None:
    """Raise an error at once if the store does not answer; MLflow would retry for minutes."""
    if uri.startswith(("http://", "https://")):
        _check_server(without_login(uri))
    elif uri.startswith(("sqlite", "postgresql", "mysql", "mssql")):
        _check_database(uri)


def _check_server(uri: str) -> None:
    subject = f"the MLflow server at {uri} does not answer"
    late = f"{subject} within {SERVER_TIMEOUT_SECONDS} s"
    try:
        url = f"{uri.rstrip('/')}/health"
        with (
            time_limit(SERVER_TIMEOUT_SECONDS, late),
            urllib.request.urlopen(url, timeout=SERVER_TIMEOUT_SECONDS) as response,
        ):
            if len(response.read(MAX_HEALTH_BYTES)) == MAX_HEALTH_BYTES:
                raise StoreUnavailable(f"the MLflow server at {uri} sends an endless answer")
    except urllib.error.HTTPError as error:
        if error.code >= 500:  # a proxy whose server is down; MLflow reports other errors
            raise StoreUnavailable(f"the MLflow server at {uri} answers {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise StoreUnavailable(f"{subject} ({reason})") from None


def _check_database(uri: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and not path.startswith("file:"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        sqlalchemy.inspect(engine)
    finally:
        engine.dispose()


def without_login(uri: str) -> str:
    """Return a URI without its user name and password."""
    login, at, _ = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(login + at, "", 1) if login else uri


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Convert any exception of the block with `classify_error`, and limit its wall-clock time.

    Everything that talks to the store runs in such a block. `action` describes it in the
    infinitive, for example "record the cells".
    """
    try:
        seconds = record_seconds()
        with time_limit(seconds, time_is_up(seconds)):
            yield
    except Exception as error:
        raise classify_error(error, action, tracking_uri(root())) from error


def classify_error(error: Exception, action: str, uri: str) -> StoreUnavailable | UserError:
    """Return StoreUnavailable for a temporary error of the store at `uri`, UserError for others.

    An error is temporary if the store does not answer, is locked, full or read-only. Wrong
    credentials, for example, are not temporary. Messages contain no password from `uri`.
    """
    if isinstance(error, StoreUnavailable | UserError):
        return error
    reason, status = one_line(error), _http_status(error)
    # Databases report denied access only in the text of the error.
    if status in ACCESS_DENIED or "authentication failed" in str(error):
        return UserError(
            f"MLflow at {without_login(uri)} denies access ({reason}); set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if _is_temporary(error, status):
        return StoreUnavailable(reason)
    return UserError(f"MLflow could not {action} ({type(error).__name__}: {reason}).")


def _http_status(error: Exception) -> int:
    """Return the HTTP status code of an error, or 0 if it has none."""
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    if isinstance(error, HTTPError) and error.response is not None:
        return int(error.response.status_code)
    return 0


def _is_temporary(error: Exception, status: int) -> bool:
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    if status:
        return status >= 500 or status == TOO_MANY_REQUESTS
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return True
    return isinstance(error, OperationalError | RequestException | ConnectionError | TimeoutError)
