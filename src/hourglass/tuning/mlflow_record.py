"""Optuna studies in MLflow: one run per study, with a child run per trial.

The Optuna storage is the source of truth. If MLflow is unreachable, any later command on the study
adds the missing trials.
"""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from hourglass.core.errors import UserError
from hourglass.core.paths import root
from hourglass.tracking import provenance
from hourglass.tracking.connection import StoreUnavailable, store_errors
from hourglass.tracking.recording import report_unrecorded
from hourglass.tracking.runs import Point, Runs
from hourglass.tuning import study as studies
from hourglass.tuning.best_trial import BestTrial, find_best
from hourglass.tuning.locks import locked
from hourglass.tuning.storage import open_storage
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, IDENTITY, PARAMS

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY, TRIAL = "hourglass.study", "hourglass.trial"  # tags of a study's run and of its children
STATE, BEST, FRONT = "hourglass.state", "hourglass.best", "hourglass.front"  # tags of a trial's run
PARENT = "mlflow.parentRunId"
STATUSES = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
POLL_SECONDS = 2.0


class StudyRecorder:
    """A context manager that records a study in a thread while its workers run.

    Errors of MLflow do not stop the study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.figures: Sequence[Path] = ()  # to upload at the end
        self._spec = spec
        self._record: StudyRecord | None = None
        self._error: StoreUnavailable | UserError | None = None
        self._workers_ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "StudyRecorder":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._workers_ended.set()
        self._thread.join()
        self._update("FAILED" if kind else "FINISHED")
        if self._error and not kind:
            report_unrecorded(self._error, "hourglass tune")

    def _follow(self) -> None:
        while not self._workers_ended.wait(POLL_SECONDS):
            self._update()

    def _update(self, status: str = "") -> None:
        """Record the trials that have ended, and the final status of the study, if it has one.

        After an error, the next call connects to MLflow again and reads what is recorded.
        """
        try:
            with store_errors("record the study"):
                record = self._record = self._record or self._open_record()
                if record:
                    record.add_trials()
                    if status == "FINISHED" and (best := find_best(record.study)):
                        record.summarize(best, self.figures)
                    if status:
                        record.runs.close(record.run_id, status)
            self._error = None
        except (StoreUnavailable, UserError) as error:
            self._record, self._error = None, error

    def _open_record(self) -> "StudyRecord | None":
        study = studies.load(self._spec.study_name, open_storage())
        return StudyRecord(study, self._spec) if study else None  # a worker will create it


class StudyRecord:
    """The run of a study and the runs of its trials; every write is idempotent."""

    def __init__(self, study: optuna.Study, spec: StudySpec) -> None:
        self.study = study
        self.names = spec.make_objective().names  # of the objective's values
        self.runs = runs = Runs(root())
        identity = study.user_attrs[IDENTITY]
        with locked("record"):
            if not runs.find(STUDY, identity):
                runs.create(f"tune {study.study_name}", {STUDY: identity, **provenance.tags()})
            # Two machines that share only MLflow may each have created a run; the oldest is kept.
            run, *others = sorted(
                runs.find(STUDY, identity), key=lambda run: (run.info.start_time, run.info.run_id)
            )
            for other in others:
                runs.client.delete_run(other.info.run_id)
        self.run_id: str = run.info.run_id
        runs.client.update_run(self.run_id, status="RUNNING")
        names = {"data": spec.cell.data, "model": spec.cell.model, "objective": spec.objective}
        runs.add_params(run, names | {"space": spec.space, "seed": str(spec.settings["seed"])})
        self._recorded = set(self._trial_runs())

    def add_trials(self) -> None:
        """Record the trials that have ended since the last call."""
        for trial in studies.finished(self.study):
            if trial.number not in self._recorded:
                self._add_trial(trial)
                self._recorded.add(trial.number)

    def _add_trial(self, trial: FrozenTrial) -> None:
        """Record a trial; delete an incomplete run of it, left by a killed command."""
        state, name = trial.state.name, f"trial {trial.number}"
        if state != "COMPLETE":
            name += f" ({state.lower()})"
        tags = {PARENT: self.run_id, TRIAL: f"{self.run_id} {trial.number}", STATE: state}
        if FAILURE in trial.user_attrs:
            tags["mlflow.note.content"] = trial.user_attrs[FAILURE]
        assert trial.datetime_start
        assert trial.datetime_complete
        start, end = (
            int(time.timestamp() * 1000) for time in (trial.datetime_start, trial.datetime_complete)
        )
        with locked("record"):
            for run in self.runs.find(TRIAL, tags[TRIAL]):
                if run.info.status != "RUNNING":
                    return  # another command has recorded it
                self.runs.client.delete_run(run.info.run_id)
            run_id = self.runs.create(name, tags, start).info.run_id
            self.runs.log(run_id, self._points(trial), trial.user_attrs.get(PARAMS, {}), end)
            self.runs.close(run_id, STATUSES[state], end)

    def _points(self, trial: FrozenTrial) -> list[Point]:
        """Return the points of a trial's curves, with the objective's reports and final values."""
        rows = trial.user_attrs.get(HISTORY, [])
        points = [
            (name, int(row["epoch"]), value)
            for row in rows
            for name, value in row.items()
            if name not in ("epoch", "phase")
        ]
        if len(self.names) == 1:
            reports = sorted(trial.intermediate_values.items())
            points += [(self.names[0], epoch, value) for epoch, value in reports]
        if trial.state == TrialState.COMPLETE:  # the value of a pruned trial is an intermediate one
            values = zip(self.names, trial.values, strict=True)
            points += [(name, len(rows), value) for name, value in values]
        return points

    def summarize(self, best: BestTrial, figures: Iterable[Path]) -> None:
        """Tag only the best trial and the front; log the best values and upload the figures."""
        numbers = {BEST: {best.trial.number}, FRONT: {trial.number for trial in best.front}}
        for number, run in self._trial_runs().items():
            for tag, tagged in numbers.items():
                if number in tagged:
                    self.runs.client.set_tag(run.info.run_id, tag, "true")
                elif tag in run.data.tags:
                    self.runs.client.delete_tag(run.info.run_id, tag)
        step = len(studies.finished(self.study))
        values = zip(self.names, best.trial.values, strict=True)
        points = {(name, step, value) for name, value in values}
        present = self.runs.points(self.runs.client.get_run(self.run_id), self.names)
        self.runs.log(self.run_id, points - present)
        self.runs.upload(self.run_id, figures)

    def _trial_runs(self) -> dict[int, "Run"]:
        """Return the complete runs of trials by number."""
        children = self.runs.find(PARENT, self.run_id)
        ended = [run for run in children if run.info.status != "RUNNING"]
        return {int(run.data.tags[TRIAL].split()[-1]): run for run in ended}
