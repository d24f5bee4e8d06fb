"""The rows of MLflow's table of runs, and how a stage's facts get into them."""

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hourglass.tracking import provenance, system
from hourglass.tracking.curves import Curves, points
from hourglass.tracking.run_writer import Rows

FIRST_RUN = "hourglass.first_run"  # tag: the training that this row carries, as its run_id has it
TOKEN = "hourglass.training"  # tag: the training itself, known before its run is
REPORT = "hourglass.report"  # tag: the grid whose comparison this run holds
RECORDED = "hourglass.recorded"  # tags, one a stage: the digest of what is recorded, whole


class Record(Rows):
    """Write one row of MLflow's table of runs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.training = ""  # the run of a training under way
        self.taken_up = False  # whether that run is older than this process
        self.monitor: Any = None
        self.curves = Curves(self.client)

    def train(
        self,
        token: str,
        replaced: str,
        name: str,
        params: dict[str, str],
        dataset: dict[str, Any],
    ) -> None:
        """Take up the run of a training, or open it.

        The run of a killed training that this one has `replaced` is marked as killed.
        """
        for run in self._search(TOKEN, replaced) if replaced else []:
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
        with self._alone():
            known = self._search(FIRST_RUN, token) + self._search(TOKEN, token)
            run = known[-1] if known else self._create(name, {TOKEN: token, **provenance.tags()})
        self.run_id = self.training = run.info.run_id
        self.client.update_run(self.run_id, status="RUNNING")
        self.curves.learn(run, set(run.data.metrics))
        self.taken_up = bool(known)
        self._describe(run, params, dataset)

    def surroundings(self) -> None:
        """Note what is installed, and measure the system while the training lasts.

        It need not wait for either, so both have a call of their own.
        """
        text = provenance.installed()
        self.client.log_text(self.training, text, "environment/requirements.txt")
        self.monitor = system.start(self.training, self.client.tracking_uri, self.taken_up)

    def epoch(self, values: dict[str, Any]) -> None:
        """Log one row of the history; an epoch that is known already is left as it is."""
        self.curves.add(self.run_id, values)

    def complete(
        self,
        name: str,
        run_id: str,
        dataset: dict[str, Any],
        card: dict[str, Any],
        example: str,
        made: dict[str, Any],
        parts: list[dict[str, Any]],
        thorough: bool = False,
    ) -> str:
        """Add what is not there yet to the row of a cell, or to a new row; return what was done.

        The arguments are those of `facts.Facts.told`. A new row is opened where there is none, or
        where all rows of the training hold other values: nothing is overwritten. What a row has a
        receipt of is not looked at again, unless `thorough`ly: then files must be there as well.
        """
        with self._alone():
            run = self._agreeing(run_id, parts)
            done = "completed" if run else "recorded"
            if not run:
                tags = {FIRST_RUN: run_id, **made.get("environment", {})}
                run = self._create(name, tags, made.get("started"))
        self.run_id = run.info.run_id
        missing = [part for part in parts if self._lacks(run, part, thorough)]
        for part in missing:
            self._write(run, part, dataset, card, example)
        closed = run.info.status != "FINISHED" and self.run_id != self.training
        if closed:
            self.client.set_terminated(
                self.run_id, "FINISHED", run.info.end_time or made.get("ended")
            )
        return done if missing or closed else "already there"

    def _agreeing(self, run_id: str, parts: list[dict[str, Any]]) -> Any:
        """Return the first run of a training that holds no other values; None where there is none.

        A training is known by its run, or by its token; later rows of it by either of them.
        """
        for run in self._rows(run_id):
            if all(
                _agree(run.data.params, part["params"])
                and _agree(run.data.metrics, part["metrics"])
                for part in parts
            ):
                return run
        return None

    def _rows(self, run_id: str) -> Iterable[Any]:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
            first = [run] if run.info.lifecycle_stage == "active" else []
        except MlflowException as error:
            # A server with users says of a run that is not there that it is not ours to see.
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
                raise
            first = self._search(TOKEN, run_id)
        return [*first, *self._search(FIRST_RUN, run_id)]

    def _lacks(self, run: Any, part: dict[str, Any], thorough: bool) -> bool:
        """Return whether a part is not in a run, as far as that says so."""
        if run.data.tags.get(f"{RECORDED}.{part['stage']}") != part["receipt"]:
            return True
        if not thorough:
            return False
        folders = {to for _, to in part["files"]}
        found = {
            file.path
            for folder in folders
            for file in self.client.list_artifacts(run.info.run_id, folder or None)
        }
        wanted = {f"{to}/{Path(path).name}".lstrip("/") for path, to in part["files"]}
        return not wanted <= found or bool(part["detector"] and not self._has_model(run))

    def _write(
        self,
        run: Any,
        part: dict[str, Any],
        dataset: dict[str, Any],
        card: dict[str, Any],
        example: str,
    ) -> None:
        """Write what a run lacks of a part, and last the receipt of it."""
        self._describe(run, part["params"], dataset)
        curves = self.curves if self.run_id == self.training else Curves(self.client)
        curves.learn(run, {name for row in part["history"] for name in points(row)})
        for row in part["history"]:
            curves.add(self.run_id, row)
        curves.flush(self.run_id)
        known = run.data.metrics
        given = part["metrics"] | part["latest"]
        self.add(metrics={key: value for key, value in given.items() if known.get(key) != value})
        for path, folder in part["files"]:
            self.client.log_artifact(self.run_id, path, folder or None)
        if part["detector"] and not self._has_model(run):
            self._log_model(part["detector"], card, Path(example))
        self.client.set_tag(self.run_id, f"{RECORDED}.{part['stage']}", part["receipt"])

    def _describe(self, run: Any, params: dict[str, str], dataset: dict[str, Any]) -> None:
        """Log the params and the data set that a run does not have yet."""
        known = run.data.params
        if missing := {key: value for key, value in params.items() if key not in known}:
            self.add(missing)
        if not run.inputs.dataset_inputs:
            self._log_dataset(dataset)

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

    def _has_model(self, run: Any) -> bool:
        """Return whether a run has a model that is whole; a kill cuts one short."""
        logged = [each.model_id for each in run.outputs.model_outputs] if run.outputs else []
        return any(self.client.get_logged_model(each).status == "READY" for each in logged)

    def _log_model(self, files: list[str], card: dict[str, Any], example: Path) -> None:
        """Log a cell's detector, and none of its other files, as an MLflow model."""
        from hourglass.tracking import model

        with tempfile.TemporaryDirectory() as folder:
            for path in files:
                shutil.copy(path, folder)
            model.log(self.run_id, Path(folder), card, example)

    def report(self, data: list[str], models: list[str], paths: list[str], receipt: str) -> str:
        """Keep the comparison of a grid in a run of its own, which its tag finds again.

        The files take the place of those from before; another grid has another run. Returns what
        was done.
        """
        given = {"data": ", ".join(data), "models": ", ".join(models)}
        grid = " x ".join(given.values())
        with self._alone():
            found = self._search(REPORT, grid)
            run = found[0] if found else self._create("report", {REPORT: grid})
        self.run_id = run.info.run_id
        tag = f"{RECORDED}.compare"
        if (run.info.status, run.data.tags.get(tag)) == ("FINISHED", receipt):
            return "already there"
        for key, value in provenance.tags().items():
            self.client.set_tag(self.run_id, key, value)
        self.add(given)
        self.files(paths)
        self.client.set_tag(self.run_id, tag, receipt)
        self.client.set_terminated(self.run_id, "FINISHED")
        return "completed" if found else "recorded"

    def finish(self, status: str) -> None:
        """Close the run of a training as FINISHED or FAILED; no other was open."""
        if not self.training:
            return
        self.curves.flush(self.training)
        monitor, self.monitor = self.monitor, None
        if monitor:
            system.finish(monitor)
        self.client.set_terminated(self.training, status)


def _agree(recorded: dict[str, Any], given: dict[str, Any]) -> bool:
    return all(recorded.get(key, value) == value for key, value in given.items())
