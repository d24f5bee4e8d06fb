"""Optuna studies in MLflow: a run a study, and a child run for each of its trials."""

import time
from typing import Any

from hourglass.tracking import environment
from hourglass.tracking.rows import BATCH, Rows

STUDY, TRIAL = "hourglass.study", "hourglass.trial"  # tags of a study's run and of its children
STATE, BEST, FRONT = "hourglass.state", "hourglass.best", "hourglass.front"  # tags of a trial's run
STATUSES = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


class StudyRecord(Rows):
    """Write the run of one study. The study itself is the truth: what is recorded once stays."""

    def open(self, study: str, params: dict[str, str]) -> list[int]:
        """Find the study's run, or open it, and return the numbers of the trials it has.

        Commands on two machines that begin at once may both open one: the older counts.
        """
        if not self._search(STUDY, study):
            self._create(f"tune {study}", {STUDY: study, **environment.tags()})
        parents = sorted(
            self._search(STUDY, study), key=lambda run: (run.info.start_time, run.info.run_id)
        )
        self.run_id = parents[0].info.run_id
        self.client.update_run(self.run_id, status="RUNNING")
        self.add(params)
        return sorted(self._runs())

    def trial(
        self,
        number: int,
        state: str,
        params: dict[str, str],
        curves: dict[str, list[tuple[int, float]]],
        times: tuple[int, int],
        note: str,
    ) -> None:
        """Log a trial that has ended: its curves are values by epoch, its times milliseconds."""
        from mlflow.entities import Metric, Param

        tags = {"mlflow.parentRunId": self.run_id, TRIAL: str(number), STATE: state}
        if note:
            tags["mlflow.note.content"] = note
        name = f"trial {number}" if state == "COMPLETE" else f"trial {number} ({state.lower()})"
        begin, end = times
        run = self.client.create_run(self.experiment_id, start_time=begin, tags=tags, run_name=name)
        points = [Metric(key, y, end, x) for key, curve in curves.items() for x, y in curve]
        run_id, given = run.info.run_id, [Param(key, each[:6000]) for key, each in params.items()]
        for start in range(0, max(len(points), 1), BATCH):
            self.client.log_batch(run_id, points[start : start + BATCH], given if not start else [])
        self.client.set_terminated(run_id, STATUSES[state], end)

    def summary(
        self,
        best: int | None,
        front: list[int],
        metrics: dict[str, float],
        step: int,
        paths: list[str],
    ) -> None:
        """Mark the winner and the front, and no other trial, and keep the study's figures."""
        from mlflow.entities import Metric

        runs = self._runs()
        self._mark(BEST, [] if best is None else [best], runs)
        self._mark(FRONT, front, runs)
        now = int(time.time() * 1000)
        points = [Metric(key, each, now, step) for key, each in metrics.items()]
        self.client.log_batch(self.run_id, points)
        self.files(paths)

    def _runs(self) -> dict[int, Any]:
        """Return the runs of the trials, by number; of two of the same trial the older."""
        found = self._search("mlflow.parentRunId", self.run_id)
        return {int(run.data.tags[TRIAL]): run for run in found}

    def _mark(self, tag: str, numbers: list[int], runs: dict[int, Any]) -> None:
        for number, run in runs.items():
            if number in numbers:
                self.client.set_tag(run.info.run_id, tag, "true")
            elif tag in run.data.tags:
                self.client.delete_tag(run.info.run_id, tag)
