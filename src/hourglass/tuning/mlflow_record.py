"""Optuna studies in MLflow: one run per study, with a child run per trial.

The Optuna storage is the source of truth. If MLflow is unreachable, any later command on the study
adds the missing trials. `hourglass tune` runs this module as the child process that records.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hourglass.core.paths import STUDIES, root
from hourglass.core.yaml_config import Yaml
from hourglass.tracking import provenance, views
from hourglass.tracking.descriptions import NOTE, study_note
from hourglass.tracking.entries import epoch_points, rounded, section
from hourglass.tracking.record import KIND
from hourglass.tracking.recorder import Recorder, serve
from hourglass.tracking.recording import FINISHED
from hourglass.tracking.runs import Point, Runs
from hourglass.tuning import study as studies
from hourglass.tuning.best_trial import BestTrial, find_best
from hourglass.tuning.locks import locked
from hourglass.tuning.storage import open_storage
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, IDENTITY, PARAMS, VALUES
from hourglass.tuning.worker import Job

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY, TRIAL = "hourglass.study", "hourglass.trial"  # tags of a study's run and of its children
WINNER = "hourglass.best_run"  # tag of a study's run: the id of the best trial's run
STATE, BEST, FRONT = "hourglass.state", "hourglass.best", "hourglass.front"  # tags of a trial's run
PARENT = "mlflow.parentRunId"
# A pruned trial ended as planned; its name and its tag tell that it was pruned.
STATUSES = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}


class StudyRecorder(Recorder):
    """The recording of a study while its workers run, and of its figures at the end."""

    completing_command = "hourglass tune"

    def __init__(self, job: Job) -> None:
        super().__init__("the study", follows=True)
        self._job = job
        self._record: StudyRecord | None = None

    def record(self, message: str) -> None:
        """Record the trials that have ended, and at the end the best ones and the figures.

        After an error, it connects to MLflow again and reads the runs of the trials.
        """
        if self.error or not self._record:
            study = studies.load(self._job.study, open_storage())
            if not study:  # a worker will create it
                return
            self._record = StudyRecord(study, self._job.spec)
            self.runs = self._record.runs
        record = self._record
        record.add_trials()
        if message == FINISHED and (best := find_best(record.study)):
            figures = (STUDIES / self._job.study).iterdir()
            record.summarize(best, sorted(figures))
        if message:
            record.runs.close(record.run_id, "FINISHED" if message == FINISHED else "FAILED")


class StudyRecord:
    """The run of a study and the runs of its trials; every write is idempotent."""

    def __init__(self, study: optuna.Study, spec: StudySpec) -> None:
        self.study, self.spec = study, spec
        self.names = [  # of the objective's values
            f"tuning/{name.removeprefix('tuning_')}" for name in spec.make_objective().names
        ]
        self.runs = runs = Runs(root())
        identity = study.user_attrs[IDENTITY]
        with locked("record"):
            if not runs.find(STUDY, identity):
                tags = {STUDY: identity, KIND: "study", **provenance.tags()}
                runs.create(f"tune {study.study_name}", tags)
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
        tags = {PARENT: self.run_id, TRIAL: f"{self.run_id} {trial.number}"}
        tags |= {STATE: state.lower(), KIND: "trial"}
        if FAILURE in trial.user_attrs:
            tags[NOTE] = trial.user_attrs[FAILURE]
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
            params = trial.user_attrs.get(PARAMS, {}) | _shown(trial.user_attrs.get(VALUES, {}))
            self.runs.log(run_id, self._points(trial), params, end)
            self.runs.close(run_id, STATUSES[state], end)

    def _points(self, trial: FrozenTrial) -> list[Point]:
        """Return the points of a trial's curves, with the objective's reports and final values."""
        rows = trial.user_attrs.get(HISTORY, [])
        points = [point for row in rows for point in epoch_points(row)]
        if len(self.names) == 1:
            reports = sorted(trial.intermediate_values.items())
            points += [(self.names[0], epoch, rounded(value)) for epoch, value in reports]
        if trial.state == TrialState.COMPLETE:  # the value of a pruned trial is an intermediate one
            points += [(name, len(rows), value) for name, value in self._values(trial).items()]
        return points

    def _values(self, trial: FrozenTrial) -> dict[str, float]:
        """Return the final values of the objective as metrics."""
        return {name: rounded(value) for name, value in zip(self.names, trial.values, strict=True)}

    def summarize(self, best: BestTrial, figures: Iterable[Path]) -> None:
        """Tag only the best trial and the front; describe the study and upload the figures."""
        numbers = {BEST: {best.trial.number}, FRONT: {trial.number for trial in best.front}}
        trials = self._trial_runs()
        for number, run in trials.items():
            for tag, tagged in numbers.items():
                if number in tagged:
                    self.runs.client.set_tag(run.info.run_id, tag, "true")
                elif tag in run.data.tags:
                    self.runs.client.delete_tag(run.info.run_id, tag)
        self._log_best(best)
        self._describe(best, trials[best.trial.number].info.run_id)
        self.runs.upload(self.run_id, figures)

    def _log_best(self, best: BestTrial) -> None:
        """Log the best values of the objective and of numeric hyperparameters as metrics."""
        numeric = {key: value for key, value in best.values.items() if type(value) in (int, float)}
        values = self._values(best.trial) | section("best", numeric)
        step = len(studies.finished(self.study))
        points = {(name, step, value) for name, value in values.items()}
        present = self.runs.points(self.runs.client.get_run(self.run_id), values)
        self.runs.log(self.run_id, points - present)

    def _describe(self, best: BestTrial, run_id: str) -> None:
        """Describe the study with a link to its best trial, and save a view of its trials."""
        cell, objective, id = self.spec.cell, self.spec.objective, self.runs.experiment_id
        trials = studies.finished(self.study)
        searched = sorted({key for trial in trials for key in trial.user_attrs.get(VALUES, {})})
        ascending = self.study.directions[0] == StudyDirection.MINIMIZE
        view = views.trials_view(self.run_id, cell.name, objective, self.names, searched, ascending)
        self.runs.client.set_experiment_tag(id, f"{views.VIEW_TAG}{view.key}", view.tag())
        measured = [f"{name} {value:.4g}" for name, value in self._values(best.trial).items()]
        drawn = [f"{name} {value}" for name, value in _shown(best.values).items()]
        link = f"[trial {best.trial.number}]({views.run_link(id, run_id)})"
        kind, details = "Knee" if best.front else "Best", ", ".join([*measured, *drawn])
        text = f"{kind}: {link} ({details})."
        arguments = (cell, objective, len(trials), text, views.view_link(id, view.key))
        self.runs.tag(self.run_id, {WINNER: run_id, NOTE: study_note(*arguments)})

    def _trial_runs(self) -> dict[int, "Run"]:
        """Return the complete runs of trials by number."""
        children = self.runs.find(PARENT, self.run_id)
        ended = [run for run in children if run.info.status != "RUNNING"]
        return {int(run.data.tags[TRIAL].split()[-1]): run for run in ended}


def _shown(values: Yaml) -> dict[str, str]:
    """Return hyperparameters as MLflow shows them; Optuna draws numbers of 16 digits."""
    return {
        key: str(rounded(value) if isinstance(value, float) else value)
        for key, value in values.items()
    }


if __name__ == "__main__":
    serve(StudyRecorder(Job(**json.loads(sys.argv[1]))))
