"""The runs of a workspace as MLflow shows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One run as MLflow shows it."""

    id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    steps: dict[str, list[int]]  # of every curve
    artifacts: frozenset[str]
    datasets: tuple[tuple[str, str], ...]  # name and digest
    models: tuple[str, ...]

    @property
    def method(self) -> str:
        return self.params.get("threshold_method", "")


def rows(folder: Path) -> list[Row]:
    """Return all runs of a working folder, the first one first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
    return [_row(client, run) for run in found]


def _row(client: Any, run: Any) -> Row:
    return Row(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        steps={
            key: [point.step for point in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        },
        artifacts=frozenset(_artifacts(client, run.info.run_id)),
        datasets=tuple(
            (each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs
        ),
        models=tuple(each.model_id for each in run.outputs.model_outputs) if run.outputs else (),
    )


def _artifacts(client: Any, run_id: str, folder: str | None = None) -> Iterator[str]:
    for each in client.list_artifacts(run_id, folder):
        if each.is_dir:
            yield from _artifacts(client, run_id, each.path)
        else:
            yield each.path
