"""Where MLflow keeps the record: the database at the project's root, or a server."""

import http.client
import os
import urllib.error
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from hourglass.errors import Refusal, one_line
from hourglass.tracking.variables import set_variables

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "hourglass"

set_variables()


def connect(root: Path) -> tuple["MlflowClient", str]:
    """Return a client and the id of the experiment, made where it is not there yet.

    Raises a Refusal where a server does not answer.
    """
    uri = tracking_uri(root)
    if uri.startswith(("http://", "https://")):
        _refuse_silent_server(uri)
    import mlflow

    mlflow.set_tracking_uri(uri)
    # Stages that start at once on an empty database would each create its tables.
    with FileLock(root / "mlflow.db.lock") if uri.startswith("sqlite:") else nullcontext():
        client = mlflow.MlflowClient(uri)
        return client, _experiment(client, uri, root)


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the database at the project's root.

    Where another stage or the UI is writing to that, wait a minute for it, not sqlite's 5 seconds.
    """
    own = f"sqlite:///{(root / 'mlflow.db').as_posix()}?timeout=60"
    return os.environ.get("MLFLOW_TRACKING_URI") or own


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
    if found is None or found.lifecycle_stage == "deleted":
        raise Refusal(f"MLflow's experiment {name!r} was deleted; restore it in the UI.")
    return found.experiment_id


def _refuse_silent_server(uri: str) -> None:
    place = urlsplit(uri.rstrip("/"))
    bare = place._replace(netloc=place.netloc.rpartition("@")[2])  # urllib knows no user:password@
    try:
        urllib.request.urlopen(f"{bare.geturl()}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # It answers; whether it lets us in is for MLflow to say.
    except (OSError, http.client.HTTPException) as error:
        raise Refusal(
            f"the MLflow server at {uri} does not answer ({one_line(error)}); start it, or unset "
            "MLFLOW_TRACKING_URI to record in ./mlflow.db."
        ) from None
