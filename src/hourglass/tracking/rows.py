"""What all rows of MLflow's table of runs have: how they are found, opened and filled."""

import time
from pathlib import Path
from typing import Any

from hourglass.tracking.store import connect

BATCH = 1000  # metrics that MLflow takes at once


class Rows:
    """Write to the table; `run_id` is the row that is written to."""

    def __init__(self, root: Path) -> None:
        self.client, self.experiment_id = connect(root)
        self.run_id = ""

    def row(self) -> str:
        """Return the id of the run."""
        return self.run_id

    def add(
        self,
        params: dict[str, str] | None = None,
        metrics: dict[str, float] | None = None,
        step: int = 0,
    ) -> None:
        """Log params and metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(key, value, now, step) for key, value in (metrics or {}).items()]
        self._log(self.run_id, points, params or {})

    def files(self, paths: list[str], folder: str | None = None) -> None:
        """Upload files, and folders with what is in them."""
        for path in map(Path, paths):
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), folder or path.name)
            else:
                self.client.log_artifact(self.run_id, str(path), folder)

    def finish(self, status: str) -> None:
        """Close the run."""
        if self.run_id:
            self.client.set_terminated(self.run_id, status)

    def _log(self, run_id: str, points: list[Any], params: dict[str, str]) -> None:
        """Log params and points of metrics to a run, in as few batches as MLflow takes."""
        from mlflow.entities import Param

        given = [Param(key, value[:6000]) for key, value in params.items()]
        for start in range(0, max(len(points), 1), BATCH):
            self.client.log_batch(run_id, points[start : start + BATCH], [] if start else given)

    def _search(self, tag: str, value: str) -> list[Any]:
        """Return all runs with this tag, the latest first."""
        condition, token = f"tags.`{tag}` = '{value}'", None
        found: list[Any] = []
        while True:
            page = self.client.search_runs([self.experiment_id], condition, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _create(self, name: str, tags: dict[str, str]) -> Any:
        return self.client.create_run(self.experiment_id, tags=tags, run_name=name)
