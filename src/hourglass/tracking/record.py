"""The rows of MLflow's table of runs, and how a stage's facts get into them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hourglass.tracking import environment, system
from hourglass.tracking.curves import Curves
from hourglass.tracking.rows import Rows

FIRST_RUN = "hourglass.first_run"  # tag: the run that trained what this row calibrates
TOKEN = "hourglass.training"  # tag: the training itself, known before its run is
REPORT = "hourglass.report"  # tag: the grid whose comparison this run holds


class Record(Rows):
    """Write one row of MLflow's table of runs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.monitor: Any = None
        self.end_time: int | None = None  # of a run that had ended, which goes on having ended
        self.curves = Curves(self.client)

    def train(
        self,
        token: str,
        replaced: str,
        name: str,
        params: dict[str, str],
        dataset: dict[str, Any],
    ) -> None:
        """Take up the run of a training, or open it; measure the system while it lasts.

        The run of a killed training that this one has `replaced` is marked as killed.
        """
        for run in self._search(TOKEN, replaced) if replaced else []:
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
        runs = self._search(TOKEN, token)
        if runs:
            self.run_id = runs[0].info.run_id
            self.client.update_run(self.run_id, status="RUNNING")
            self.curves.learn(runs[0])
        else:
            self._open(name, {TOKEN: token}, params, dataset)
        self.monitor = system.start(self.run_id, self.client.tracking_uri, resume=bool(runs))

    def resume(
        self,
        run_id: str,
        name: str,
        training: dict[str, Any],
        dataset: dict[str, Any],
        params: dict[str, str],
        metrics: dict[str, float],
    ) -> None:
        """Add params and metrics to the row of a training, or to a new row that carries it along.

        A new row is opened where the run is gone, or where all its rows already hold other values:
        nothing is overwritten.
        """
        for run in self._rows(run_id):
            if _agree(run.data.params, params) and _agree(run.data.metrics, metrics):
                self.run_id, self.end_time = run.info.run_id, run.info.end_time
                break
        else:
            self._open(name, {FIRST_RUN: run_id}, training["params"], dataset)
            for row in training["history"]:
                self.epoch(row)
            self.curves.flush(self.run_id)
            self.add(metrics=training["metrics"])
            self.files(training["files"])
        self.add(params, metrics)

    def _rows(self, run_id: str) -> Iterable[Any]:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
            first = [run] if run.info.lifecycle_stage == "active" else []
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            first = []
        return [*first, *self._search(FIRST_RUN, run_id)]

    def _open(
        self, name: str, tags: dict[str, str], params: dict[str, str], dataset: dict[str, Any]
    ) -> None:
        self.run_id = self._create(name, {**tags, **environment.tags()}).info.run_id
        self.add(params)
        self._log_dataset(dataset)
        self.client.log_text(self.run_id, environment.installed(), "environment/requirements.txt")

    def _log_dataset(self, dataset: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(
            name=dataset["name"],
            digest=dataset["digest"],
            source_type="local",
            source=json.dumps({"uri": dataset["source"]}),
            profile=json.dumps(dataset["counts"]),
        )
        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(self.run_id, [DatasetInput(entity, tags)])

    def epoch(self, values: dict[str, Any]) -> None:
        """Log one row of the history; an epoch that is known already is left as it is."""
        self.curves.add(self.run_id, values)

    def model(self, folder: str, card: dict[str, Any], example: str) -> None:
        """Log the detector in `folder` as an MLflow model, unless the row has one."""
        from hourglass.tracking import model

        outputs = self.client.get_run(self.run_id).outputs
        logged = [each.model_id for each in outputs.model_outputs] if outputs else []
        # The same training, calibrated the same way before; one cut short by a kill does not count.
        if not any(self.client.get_logged_model(each).status == "READY" for each in logged):
            model.log(self.run_id, Path(folder), card, Path(example))

    def report(self, data: list[str], models: list[str], paths: list[str]) -> None:
        """Keep the comparison of a grid in a run of its own, which its tag finds again.

        The files take the place of those from before; another grid has another run.
        """
        given = {"data": ", ".join(sorted(data)), "models": ", ".join(sorted(models))}
        grid = " x ".join(given.values())
        found = self._search(REPORT, grid) or [self._create("report", {REPORT: grid})]
        self.run_id = found[0].info.run_id
        for key, value in environment.tags().items():
            self.client.set_tag(self.run_id, key, value)
        self.add(given)
        self.files(paths)

    def finish(self, status: str) -> None:
        """Close the run as FINISHED or FAILED; one that had ended stays as it ended."""
        self.curves.flush(self.run_id)
        if self.monitor:
            system.finish(self.monitor)
        if self.run_id:
            status = "FINISHED" if self.end_time else status
            self.client.set_terminated(self.run_id, status, self.end_time)


def _agree(recorded: dict[str, Any], given: dict[str, Any]) -> bool:
    return all(recorded.get(key, value) == value for key, value in given.items())
