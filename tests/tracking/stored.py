"""The runs in MLflow's database of a working folder, and a folder whose stages fill it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hourglass.core.paths import sqlite_url
from hourglass.stages.prepare import prepare
from tests.workspaces import set_up, working_in

EPOCHS = 3
CELL = ("digits", "denoising")
HISTORY = ("train_loss", "validation_error", "learning_rate")  # columns of history.csv
TRAINING_CURVES = tuple(f"training/{name}" for name in HISTORY)


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

    @property
    def measured(self) -> dict[str, float]:
        """The metrics but those of the machine."""
        return {k: value for k, value in self.metrics.items() if not k.startswith("system/")}

    @property
    def curves(self) -> dict[str, list[int]]:
        return {key: self.steps[key] for key in TRAINING_CURVES}


def rows(folder: Path) -> list[Row]:
    """Return all runs of a working folder: by start, those that a training opened first."""
    from mlflow import MlflowClient

    client = MlflowClient(sqlite_url(folder / "mlflow.db"))
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
    opened_by_training = sorted(found, key=lambda run: "hourglass.first_run" in run.data.tags)
    return [_row(client, run) for run in opened_by_training]


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


def make_workspace(folder: Path, data: str = CELL[0]) -> Path:
    """Make a working folder in a git repository of its own, with the data set prepared."""
    set_up(folder, EPOCHS)
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "settings"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    with working_in(folder):
        prepare(data)
    return folder
