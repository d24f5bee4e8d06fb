"""What all rows of MLflow's table of runs have: how they are found, opened and filled.

Whatever is told twice, as after a server was away in the middle of it, is written once.
"""

import time
from pathlib import Path
from typing import Any

from hourglass.tracking.store import alone, connect

BATCH = 1000  # metrics that MLflow takes at once


class Rows:
    """Write to the table; `run_id` is the row that is written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
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
        """Log params and metrics; a point of a metric that is there already is left as it is."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        known = self.client.get_run(self.run_id).data.metrics if metrics else {}
        points = [
            Metric(key, value, now, step)
            for key, value in (metrics or {}).items()
            if key not in known or not self._has(key, step, value)
        ]
        if points or params:
            self._log(self.run_id, points, params or {})

    def _has(self, key: str, step: int, value: float) -> bool:
        points = self.client.get_metric_history(self.run_id, key)
        return any((point.step, point.value) == (step, value) for point in points)

    def files(self, paths: list[str], folder: str | None = None) -> None:
        """Upload files."""
        for path in paths:
            self.client.log_artifact(self.run_id, path, folder)

    def finish(self, status: str) -> None:
        """Close the run."""
        if self.run_id:
            self.client.set_terminated(self.run_id, status)

    def _log(self, run_id: str, points: list[Any], params: dict[str, str]) -> None:
        """Log params and points of metrics to a run, in as few batches as MLflow takes."""
        from mlflow.entities import Param

        given = [Param(key, value) for key, value in params.items()]
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

    def _alone(self) -> Any:
        return alone(self.root)

    def _create(self, name: str, tags: dict[str, str], start_time: int | None = None) -> Any:
        return self.client.create_run(self.experiment_id, start_time, tags, name)
