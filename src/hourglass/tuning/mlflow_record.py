"""Optuna studies in MLflow: one run per study, with a child run per trial.

The Optuna storage is the source of truth. If MLflow is unreachable, any later command on the study
adds the missing trials.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hourglass.core.errors import UserError
from hourglass.core.paths import root
from hourglass.tracking import provenance
from hourglass.tracking.connection import (
    StoreUnavailable,
    check_reachable,
    store_errors,
    tracking_uri,
)
from hourglass.tracking.recording import report_unrecorded
from hourglass.tracking.runs import Runs
from hourglass.tuning import study as studies
from hourglass.tuning.best_trial import find_best, trial_record
from hourglass.tuning.locks import locked
from hourglass.tuning.storage import open_storage
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import IDENTITY

if TYPE_CHECKING:
    import optuna
    from mlflow.entities import Run
    from optuna.storages import BaseStorage

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
        self._spec, self._names = spec, spec.make_objective().names
        self._storage: BaseStorage | None = None
        self._record: StudyRecord | None = None
        self._error: StoreUnavailable | UserError | None = None
        self._status = ""  # of the study's run; "" until the workers have ended
        self._workers_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "StudyRecorder":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._status = "FAILED" if kind else "FINISHED"
        self._workers_ended.set()
        self._thread.join()
        if self._error and not kind:
            report_unrecorded(self._error, "hourglass tune")

    def _run(self) -> None:
        while not self._workers_ended.wait(POLL_SECONDS):
            self._update()
        self._update()

    def _update(self) -> None:
        """Record the trials that have ended; after an error, read the record from MLflow again."""
        try:
            with store_errors("record the study"):
                if self._error:
                    check_reachable(tracking_uri(root()))  # MLflow would wait longer
                self._add_trials()
            self._error = None
        except (StoreUnavailable, UserError) as error:
            self._record, self._error = None, error

    def _add_trials(self) -> None:
        self._storage = self._storage or open_storage()
        study = studies.load(self._spec.study_name, self._storage)
        if not study:  # not yet created by a worker
            return
        record = self._record = self._record or StudyRecord.of(self._spec, study)
        trials = studies.finished(study)
        for trial in trials:
            if trial.number not in record.recorded:
                record.add_trial(**trial_record(trial, self._names))
        if self._status == "FINISHED" and (best := find_best(study)):
            record.summarize(
                best=best.trial.number,
                front=[trial.number for trial in best.front],
                metrics=dict(zip(self._names, best.trial.values, strict=True)),
                step=len(trials),
                figures=self.figures,
            )
        if self._status:
            record.runs.close(record.run_id, self._status)


class StudyRecord:
    """The run of a study and the runs of its trials; every write is idempotent."""

    def __init__(self, runs: Runs, identity: str, name: str, params: dict[str, str]) -> None:
        self.runs = runs
        with locked("record"):
            if not runs.find(STUDY, identity):
                runs.create(f"tune {name}", {STUDY: identity, **provenance.tags()})
            # Two machines that share only MLflow may each have created a run; the oldest is kept.
            candidates = runs.find(STUDY, identity)
            run, *others = sorted(
                candidates, key=lambda run: (run.info.start_time, run.info.run_id)
            )
            for other in others:
                runs.client.delete_run(other.info.run_id)
        self.run_id: str = run.info.run_id
        runs.client.update_run(self.run_id, status="RUNNING")
        runs.add_params(run, params)
        self.recorded = set(self._trial_runs())  # trial numbers

    @classmethod
    def of(cls, spec: StudySpec, study: "optuna.Study") -> "StudyRecord":
        """Open the record of a study."""
        params = {"data": spec.cell.data, "model": spec.cell.model}
        params |= {"objective": spec.objective, "space": spec.space}
        params |= {"seed": str(spec.settings["seed"])}
        return cls(Runs(root()), study.user_attrs[IDENTITY], study.study_name, params)

    def add_trial(
        self,
        number: int,
        state: str,
        params: dict[str, str],
        curves: dict[str, list[tuple[int, float]]],
        times: tuple[int, int],
        note: str,
    ) -> None:
        """Record a trial that has ended.

        `curves` are pairs of epoch and value; `times` are start and end in milliseconds. An
        incomplete run of the trial, left by a killed command, is deleted.
        """
        tags = {PARENT: self.run_id, TRIAL: f"{self.run_id} {number}", STATE: state}
        if note:
            tags["mlflow.note.content"] = note
        name = f"trial {number}" if state == "COMPLETE" else f"trial {number} ({state.lower()})"
        start, end = times
        with locked("record"):
            existing = self.runs.find(TRIAL, tags[TRIAL])
            incomplete = [run for run in existing if run.info.status == "RUNNING"]
            for run in incomplete:
                self.runs.client.delete_run(run.info.run_id)
            if len(incomplete) == len(existing):
                run_id = self.runs.create(name, tags, start).info.run_id
                points = [
                    (name, epoch, value) for name, curve in curves.items() for epoch, value in curve
                ]
                self.runs.log(run_id, points, params, end)
                self.runs.close(run_id, STATUSES[state], end)
        self.recorded.add(number)

    def summarize(
        self,
        best: int,
        front: Sequence[int],
        metrics: dict[str, float],
        step: int,
        figures: Sequence[Path],
    ) -> None:
        """Tag only the best trial and the front; log the metrics and upload the figures."""
        trial_runs = self._trial_runs()
        self._tag_only(BEST, [best], trial_runs)
        self._tag_only(FRONT, front, trial_runs)
        present = self.runs.points(self.runs.client.get_run(self.run_id), metrics)
        points = [(name, step, value) for name, value in metrics.items()]
        self.runs.log(self.run_id, [point for point in points if point not in present])
        self.runs.upload(self.run_id, figures)

    def _trial_runs(self) -> dict[int, "Run"]:
        """Return the complete runs of trials by number."""
        children = self.runs.find(PARENT, self.run_id)
        ended = [run for run in children if run.info.status != "RUNNING"]
        return {int(run.data.tags[TRIAL].split()[-1]): run for run in ended}

    def _tag_only(self, tag: str, numbers: Sequence[int], trial_runs: dict[int, Any]) -> None:
        for number, run in trial_runs.items():
            if number in numbers:
                self.runs.client.set_tag(run.info.run_id, tag, "true")
            elif tag in run.data.tags:
                self.runs.client.delete_tag(run.info.run_id, tag)
