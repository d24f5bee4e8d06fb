"""The curves of a training in MLflow: one point an epoch, each written once."""

import time
from typing import TYPE_CHECKING, Any

from hourglass.tracking.rows import BATCH

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class Curves:
    """Write epochs that were not written before, together, once a second.

    Each write locks the database, and short epochs end many times a second.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self.known: set[tuple[str, int]] = set()  # curves and their steps that are written already
        self.waiting: list[Any] = []
        self.written = 0.0

    def learn(self, run: "Run") -> None:
        """Find out which epochs a run has already."""
        for key in run.data.metrics:
            if key.endswith("validation_error"):
                points = self.client.get_metric_history(run.info.run_id, key)
                self.known |= {(key, point.step) for point in points}

    def add(self, run_id: str, values: dict[str, Any]) -> None:
        """Take one row of a history; the name of a phase goes before that of its metrics."""
        from mlflow.entities import Metric

        step, now = int(values["epoch"]), time.time()
        phase = f"{values['phase']}_" if values.get("phase") else ""
        if (f"{phase}validation_error", step) not in self.known:
            self.waiting += [
                Metric(f"{phase}{key}", value, int(now * 1000), step)
                for key, value in values.items()
                if key not in ("epoch", "phase")
            ]
        if now - self.written > 1:
            self.flush(run_id)

    def flush(self, run_id: str) -> None:
        """Write the epochs that wait."""
        for start in range(0, len(self.waiting), BATCH):
            self.client.log_batch(run_id, self.waiting[start : start + BATCH])
        self.waiting, self.written = [], time.time()
