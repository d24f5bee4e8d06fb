"""Optuna studies in MLflow: a run a study, and a child run for each of its trials."""

from typing import Any

from hourglass.tracking import provenance
from hourglass.tracking.run_writer import Rows
from hourglass.tuning.locks import locked

STUDY, TRIAL = "hourglass.study", "hourglass.trial"  # tags of a study's run and of its children
STATE, BEST, FRONT = "hourglass.state", "hourglass.best", "hourglass.front"  # tags of a trial's run
STATUSES = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


class StudyRecord(Rows):
    """Write the run of one study. The study is the truth: whatever is not recorded yet can be."""

    def open(self, identity: str, name: str, params: dict[str, str]) -> list[int]:
        """Find the study's run, or open it, and return the numbers of the trials it has."""
        with locked("record"):  # what is not there yet is made once
            if not self._search(STUDY, identity):
                self._create(f"tune {name}", {STUDY: identity, **provenance.tags()})
            # Two machines that share MLflow alone may both have opened one: the older counts.
            runs = self._search(STUDY, identity)
            oldest, *others = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
            for run in others:
                self.client.delete_run(run.info.run_id)
        self.run_id = oldest.info.run_id
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
        """Log a trial that has ended, unless it is there: its curves are values by epoch.

        Its times are milliseconds. What a killed command has left of it is taken away.
        """
        tags = {"mlflow.parentRunId": self.run_id, TRIAL: f"{self.run_id} {number}", STATE: state}
        if note:
            tags["mlflow.note.content"] = note
        with locked("record"):  # what is not there yet is made once
            known = self._search(TRIAL, tags[TRIAL])
            for run in known:
                if run.info.status == "RUNNING":
                    self.client.delete_run(run.info.run_id)
            if all(run.info.status == "RUNNING" for run in known):
                self._write(f"trial {number}", state, tags, params, curves, times)

    def _write(
        self,
        name: str,
        state: str,
        tags: dict[str, str],
        params: dict[str, str],
        curves: dict[str, list[tuple[int, float]]],
        times: tuple[int, int],
    ) -> None:
        from mlflow.entities import Metric

        begin, end = times
        name += "" if state == "COMPLETE" else f" ({state.lower()})"
        run = self.client.create_run(self.experiment_id, start_time=begin, tags=tags, run_name=name)
        points = [Metric(key, y, end, x) for key, curve in curves.items() for x, y in curve]
        self._log(run.info.run_id, points, params)
        self.client.set_terminated(run.info.run_id, STATUSES[state], end)

    def summary(
        self,
        best: int,
        front: list[int],
        metrics: dict[str, float],
        step: int,
        paths: list[str],
    ) -> None:
        """Mark the winner and the front, and no other trial, and keep the study's figures."""
        runs = self._runs()
        self._mark(BEST, [best], runs)
        self._mark(FRONT, front, runs)
        self.add(metrics=metrics, step=step)
        self.files(paths)

    def _runs(self) -> dict[int, Any]:
        """Return the runs of the trials that are recorded whole, by number."""
        found = self._search("mlflow.parentRunId", self.run_id)
        ended = [run for run in found if run.info.status != "RUNNING"]
        return {int(run.data.tags[TRIAL].split()[-1]): run for run in ended}

    def _mark(self, tag: str, numbers: list[int], runs: dict[int, Any]) -> None:
        for number, run in runs.items():
            if number in numbers:
                self.client.set_tag(run.info.run_id, tag, "true")
            elif tag in run.data.tags:
                self.client.delete_tag(run.info.run_id, tag)
