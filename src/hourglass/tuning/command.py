"""The command's side of a study: it starts the workers, watches the study, and tells the record."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.trial import FrozenTrial
from tqdm import tqdm

from hourglass.errors import Refusal
from hourglass.tracking.recorder import Recorder
from hourglass.tuning import study as studies
from hourglass.tuning.question import Question, differences
from hourglass.tuning.winner import facts, find_winner
from hourglass.tuning.worker import Job

PAUSE = 0.3  # seconds between two looks at the study
LEFT = 60  # seconds after which a trial that nobody recorded was left by a killed command


@dataclass
class Worker:
    """A process that runs trials, and what it says."""

    job: Job
    process: subprocess.Popen[str]
    errors: IO[str]
    failure: str = ""  # why it ended too early

    @classmethod
    def start(cls, job: Job, threads: int) -> "Worker":
        """Start a worker; it ends when our end of its standard input is gone, however we end."""
        errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        variables = {
            "OMP_NUM_THREADS": str(threads),
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "hourglass.tuning.worker", json.dumps(asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env=variables,
        )
        return cls(job, process, errors)

    def check(self) -> bool:
        """Return whether the worker is at it or has done its work; else note why it is not."""
        if not self.process.poll():
            return True
        if not self.failure:
            assert self.process.stdout
            answers = self.process.stdout.read().splitlines()
            self.failure = json.loads(answers[-1])["refusal"] if answers else self._died()
        return False

    def _died(self) -> str:
        self.errors.seek(0)
        sys.stderr.write(self.errors.read())
        return (
            f"a worker ended with status {self.process.returncode}; the study is kept, and the "
            "same command goes on with it."
        )

    def end(self) -> None:
        """End the process, if it has not ended."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@dataclass
class Watch:
    """See which trials of a study have ended, show them, and tell the record of them."""

    question: Question
    names: Sequence[str]  # of the objective's values
    recorder: Recorder | None
    where: Any = field(default_factory=studies.storage)
    study: optuna.Study | None = None
    seen: set[int] = field(default_factory=set)
    recorded: set[int] = field(default_factory=set)

    def look(self, bar: "tqdm[Any]", pids: Sequence[int]) -> None:
        """Take note of what has ended since the last look."""
        if not self.study:
            self.study = studies.load(self.question.study, self.where)
            if not self.study:
                return  # no worker has found the question in order yet
            self._begin(self.study)
        ended = studies.finished(self.study)
        for trial in ended:
            if trial.number not in self.seen:
                self.seen.add(trial.number)
                _say(trial)
            if self._is_ours_to_record(trial, pids):
                self._record(trial)
        bar.update(len(ended) - bar.n)
        best = find_winner(self.study)
        if best and not bar.disable:
            bar.set_postfix_str(f"best {best.trial.values[0]:.4g} {best.values}", refresh=False)

    def _begin(self, study: optuna.Study) -> None:
        """Say what a new study asks that an earlier one of the cell did not; open the record."""
        if not studies.finished(study):
            stem = study.study_name.rpartition("-")[0]
            for other in optuna.study.get_all_study_names(self.where):
                if other != study.study_name and other.rpartition("-")[0] == stem:
                    before = optuna.load_study(study_name=other, storage=self.where).user_attrs
                    changed = differences(self.question.asked, before.get(studies.ASKED, {}))
                    tqdm.write(
                        f"a new study: {other} asked otherwise ({', '.join(changed)})", sys.stderr
                    )
        if self.recorder:
            cell = self.question.cell
            params = {
                "data": cell.data,
                "model": cell.model,
                "seed": str(study.user_attrs[studies.ASKED]["seed"]),
            }
            params |= {"objective": self.question.objective, "space": self.question.space}
            known = self.recorder.ask("open", study=study.study_name, params=params)
            self.recorded |= set(known)

    def _is_ours_to_record(self, trial: FrozenTrial, pids: Sequence[int]) -> bool:
        """Return whether one of our workers ran a trial, or a command that was killed."""
        host, pid, _ = trial.user_attrs.get(studies.WORKER, "- 0 -").split(" ")
        assert trial.datetime_complete
        age = time.time() - trial.datetime_complete.timestamp()
        return (host == socket.gethostname() and int(pid) in pids) or age > LEFT

    def _record(self, trial: FrozenTrial) -> None:
        if self.recorder and trial.number not in self.recorded:
            self.recorded.add(trial.number)
            self.recorder.tell("trial", **facts(trial, self.names))


def run(job: Job, workers: int, watch: Watch) -> None:
    """Run a study with so many workers until it has the job's trials.

    Raises a Refusal where the workers refuse the question or all of them ended too early. Whatever
    ends this, no trial is left running.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    started = [Worker.start(replace(job, place=place), threads) for place in range(workers)]
    pids = [worker.process.pid for worker in started]
    try:
        with tqdm(
            total=job.trials, desc=job.question.study.rpartition("-")[0], unit="trial", disable=None
        ) as bar:
            while any(worker.process.poll() is None for worker in started):
                watch.look(bar, pids)
                _check(started)
                time.sleep(PAUSE)
            watch.look(bar, pids)
            _check(started)
    finally:
        for worker in started:
            worker.end()
        if watch.study:
            with studies.locked():
                studies.retry_killed(watch.study)


def _check(workers: list[Worker]) -> None:
    """Raise a Refusal where a worker refused its job, or none is left to go on with it."""
    ended = [worker for worker in workers if not worker.check()]
    for worker in ended:
        # Those that were killed, by the system for memory for instance, are made up for by others.
        if worker.process.returncode > 0 or len(ended) == len(workers):
            raise Refusal(worker.failure)


def _say(trial: FrozenTrial) -> None:
    """Say why a trial failed; the study goes on."""
    refusal = trial.user_attrs.get(studies.REFUSED)
    if refusal:
        tqdm.write(f"trial {trial.number} failed: {refusal}", file=sys.stderr)
