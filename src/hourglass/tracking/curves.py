"""The curves of a training in MLflow: one point an epoch, each written once."""

import time
from typing import TYPE_CHECKING, Any

from hourglass.tracking.run_writer import BATCH

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LABELS = ("epoch", "phase")  # columns of a history that are no curves


class Curves:
    """Write epochs that were not written before, together, once a second.

    Each write locks the database, and short epochs end many times a second.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self.known: set[tuple[str, int]] = set()  # curves and their steps that were taken already
        self.waiting: list[Any] = []
        self.written = 0.0

    def learn(self, run: "Run", names: set[str]) -> None:
        """Find out which points of these curves a run has already."""
        for key in names & run.data.metrics.keys():
            history = self.client.get_metric_history(run.info.run_id, key)
            self.known |= {(key, point.step) for point in history}

    def add(self, run_id: str, values: dict[str, Any]) -> None:
        """Take one row of a history; the name of a phase goes before that of its metrics."""
        from mlflow.entities import Metric

        step, now = int(values["epoch"]), time.time()
        for key, value in points(values).items():
            if (key, step) not in self.known:
                self.known.add((key, step))
                self.waiting.append(Metric(key, value, int(now * 1000), step))
        if now - self.written > 1:
            self.flush(run_id)

    def flush(self, run_id: str) -> None:
        """Write the epochs that wait; those that were written, but not answered, count once."""
        while self.waiting:
            self.client.log_batch(run_id, self.waiting[:BATCH])
            del self.waiting[:BATCH]
        self.written = time.time()


def points(values: dict[str, Any]) -> dict[str, float]:
    """Return the points of one row of a history, by the names of their curves."""
    phase = f"{values['phase']}_" if values.get("phase") else ""
    return {f"{phase}{key}": value for key, value in values.items() if key not in LABELS}
