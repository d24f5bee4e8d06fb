"""The runs of one MLflow experiment: search, creation and idempotent writes."""

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hourglass.tracking.connection import connect, store_lock

if TYPE_CHECKING:
    from mlflow.entities import Run

METRICS_PER_REQUEST = 1000  # MLflow's limit
DIGEST_CHARACTERS = 36  # MLflow's limit
Point: TypeAlias = tuple[str, int, float]  # name of a metric, step, value


def dataset_digest(card: Mapping[str, Any]) -> str:
    """Return the digest of a prepared data set in MLflow; `card` is its card.json."""
    digest: str = card["sha256"][:DIGEST_CHARACTERS]
    return digest


class Runs:
    """A client for the runs of the experiment; its constructor raises the errors of `connect`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client, self.experiment_id = connect(folder)

    def lock(self) -> AbstractContextManager[Any]:
        """Return the lock to hold between the search for a run and its creation."""
        return store_lock(self.folder)

    def find(self, tag: str, value: str) -> list["Run"]:
        """Return all runs whose tag has this value, the latest first."""
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], f"tags.`{tag}` = '{value}'", page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def create(self, name: str, tags: dict[str, str], start_time: int | None = None) -> "Run":
        """Create a run; `start_time` is in milliseconds since 1970, now by default."""
        return self.client.create_run(self.experiment_id, start_time, tags, name)

    def add_params(self, run: "Run", params: Mapping[str, str]) -> None:
        """Log the params that a run does not have yet, since params cannot be changed."""
        missing = {key: value for key, value in params.items() if key not in run.data.params}
        if missing:
            self.log(run.info.run_id, [], missing)

    def points(self, run: "Run", names: Iterable[str]) -> set[Point]:
        """Return the logged points of a run's metrics with these names."""
        return {
            (name, point.step, point.value)
            for name in set(names) & run.data.metrics.keys()
            for point in self.client.get_metric_history(run.info.run_id, name)
        }

    def log(
        self,
        run_id: str,
        points: Iterable[Point],
        params: Mapping[str, str] | None = None,
        timestamp: int | None = None,
        measured: Mapping[str, str] | None = None,
    ) -> None:
        """Log points and params in as few requests as possible; `timestamp` is in milliseconds.

        `measured` holds the fields of a Metric that identify the measured model and data set: the
        id of a logged model, and the name and digest of the data set.
        """
        from mlflow.entities import Metric, Param

        timestamp, fields = timestamp or int(time.time() * 1000), measured or {}
        metrics = [Metric(name, value, timestamp, step, **fields) for name, step, value in points]
        entities = [Param(key, value) for key, value in (params or {}).items()]
        if metrics or entities:
            self.client.log_batch(run_id, metrics[:METRICS_PER_REQUEST], entities)
        for start in range(METRICS_PER_REQUEST, len(metrics), METRICS_PER_REQUEST):
            self.client.log_batch(run_id, metrics[start : start + METRICS_PER_REQUEST])

    def add_dataset(self, run: "Run", card: Mapping[str, Any]) -> None:
        """Log a prepared data set as input of a run without one; `card` is its card.json."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if run.inputs and run.inputs.dataset_inputs:
            return
        dataset = Dataset(
            name=card["data"],
            digest=dataset_digest(card),
            source_type="local",
            source=json.dumps({"uri": card["source"]["name"]}),
            profile=json.dumps(card["splits"]),
        )
        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, tags)])

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set the tags of a run in one request."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def upload(self, run_id: str, paths: Iterable[Path], folder: str | None = None) -> None:
        """Upload files into a folder of a run's artifacts."""
        for path in paths:
            self.client.log_artifact(run_id, str(path), folder)

    def close(self, run_id: str, status: str, end_time: int | None = None) -> None:
        """End a run with the status FINISHED, FAILED or KILLED; `end_time` is in milliseconds."""
        self.client.set_terminated(run_id, status, end_time)
