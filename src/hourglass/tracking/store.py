"""Where MLflow keeps the record: the database at the project's root, or a server."""

import http.client
import logging
import os
import urllib.error
import urllib.request
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from hourglass.core.errors import UserError
from hourglass.tracking.mlflow_env import set_variables
from hourglass.tracking.outage import StoreUnavailable, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "hourglass"
SILENT = 5  # seconds after which a server does not answer
LOCKED = 60  # seconds that another stage may take to open or to find a row

set_variables()


def connect(root: Path) -> tuple["MlflowClient", str]:
    """Return a client and the id of the experiment, made where it is not there yet.

    Raises StoreUnavailable where the store does not answer.
    """
    uri = tracking_uri(root)
    reach(uri)
    import mlflow

    # These print what is ours to tell: a database or server that is away.
    for name in ("store.db.utils", "system_metrics.system_metrics_monitor"):
        logging.getLogger(f"mlflow.{name}").setLevel(logging.CRITICAL)
    mlflow.set_tracking_uri(uri)
    # Stages that start at once on an empty database would each create its tables.
    with alone(root):
        if uri.startswith("sqlite:"):
            make_whole(uri)
        client = mlflow.MlflowClient(uri)
        return client, _experiment(client, uri, root)


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the database at the project's root.

    Where another stage or the UI is writing to that, wait for it longer than sqlite's 5 seconds.
    """
    own = f"sqlite:///{(root / 'mlflow.db').as_posix()}?timeout=20"
    return os.environ.get("MLFLOW_TRACKING_URI") or own


def make_whole(uri: str) -> None:
    """Make the tables of a SQLite file that is not there yet: all of them, or no file.

    MLflow makes them one by one, in seconds. A kill or a full disk in between would leave a file
    that it can neither use nor complete, so they are made under another name.
    """
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    url = sqlalchemy.make_url(uri)
    path = Path(url.database or ":memory:").resolve()
    ours = path.name != ":memory:" and not str(url.database).startswith("file:")
    if not ours or (path.exists() and path.stat().st_size):
        return
    making = path.with_name(f"{path.name}.making")
    try:
        for name in (making.name, f"{making.name}-journal"):  # of a killed process
            path.with_name(name).unlink(missing_ok=True)
        engine = sqlalchemy.create_engine(url.set(database=str(making)))
        try:
            _initialize_tables(engine)
        finally:
            engine.dispose()
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def alone(root: Path) -> AbstractContextManager[Any]:
    """Hold the lock of a store of this machine: what is not there yet is then made once."""
    if not tracking_uri(root).startswith("sqlite:"):
        return nullcontext()
    return FileLock(root / "mlflow.db.lock", timeout=LOCKED)


def reach(uri: str) -> None:
    """Raise StoreUnavailable where a server, or a database, does not answer.

    MLflow would try again for minutes.
    """
    if uri.startswith(("http://", "https://")):
        _reach_server(shown(uri))
    elif uri.startswith(("sqlite:", "postgresql", "mysql", "mssql")):
        _reach_database(uri)


def _reach_server(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SILENT).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:  # a proxy whose server is away
            raise StoreUnavailable(f"the MLflow server at {uri} answers {error.code}") from None
        # It answers; whether it lets us in is for MLflow to say.
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise StoreUnavailable(f"the MLflow server at {uri} does not answer ({reason})") from None


def _reach_database(uri: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and not path.startswith("file:"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        sqlalchemy.inspect(engine)
    finally:
        engine.dispose()


def _experiment(client: "MlflowClient", uri: str, root: Path) -> str:
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    local = (root / "mlruns").as_uri() if uri.startswith("sqlite:") else None
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, local)
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise UserError(f"MLflow's experiment {name!r} was deleted; restore it in the UI.")
    return found.experiment_id
