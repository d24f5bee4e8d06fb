"""Workers of one study that are killed, and a database that is restarted meanwhile.

PYTHONPATH=src:scripts python -m tests.robustness.workers    # two minutes of kills
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import mlflow
import optuna
from common import enter, limit_epochs
from hosting.team import MEMBER, Team, temporary_team
from optuna.trial import FrozenTrial

from hourglass.stages.prepare import prepare
from hourglass.tracking.connection import EXPERIMENT
from hourglass.tuning.locks import storage_url
from hourglass.tuning.mlflow_record import TRIAL
from hourglass.tuning.study import is_final
from hourglass.tuning.trial_attributes import FAILURE
from tests.workspaces import ROOT

TIMEOUT_SECONDS = 900  # after which a command counts as hanging


def disturb_study(
    kills: int = 12,
    restarts: int = 0,
    seconds_between: float = 10,
    trials: int = 60,
    workers: int = 4,
) -> dict[str, int]:
    """Run a study on temporary servers, disturb its workers, and return counts of its trials.

    Args:
        kills: number of workers to kill, each with the command that started it
        restarts: number of restarts of PostgreSQL
        seconds_between: time between two faults
        trials: number of trials of the study
        workers: number of concurrent workers; a killed one is replaced

    """
    with tempfile.TemporaryDirectory() as name, temporary_team() as team, _workspace(Path(name)):  # noqa: SIM117
        with mock.patch.dict(os.environ, team.variables(MEMBER, team.secrets["hourglass"])):
            return _disturb(team, kills, restarts, seconds_between, trials, workers)


def _disturb(
    team: Team, kills: int, restarts: int, seconds_between: float, trials: int, workers: int
) -> dict[str, int]:
    """Inject the faults into a study in the current folder."""
    pool, rng = WorkerPool(trials, []), random.Random(0)
    faults = ["kill"] * kills + ["restart"] * restarts
    rng.shuffle(faults)
    try:
        for _ in range(workers):
            pool.commands.append(pool.start())
        for fault in faults:
            time.sleep(seconds_between)
            if fault == "kill":
                pool.kill(rng.randrange(workers))
            else:
                team.database.stop("immediate")  # like a crash
                time.sleep(2)
                team.database.start()
            pool.replace()
        pool.finish()
    finally:
        pool.close()
    return {"requested": trials, **pool.counts, **_count()}


@dataclass
class WorkerPool:
    """Commands that work on one study, one worker each, in sessions of their own."""

    trials: int
    commands: list["subprocess.Popen[str]"]
    counts: Counter[str] = field(default_factory=lambda: Counter(killed=0, rejected=0))

    def start(self) -> "subprocess.Popen[str]":
        """Start a command."""
        words = ["tune", "digits", "denoising", "--trials", str(self.trials)]
        return subprocess.Popen(
            [sys.executable, "-m", "hourglass", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self, place: int) -> None:
        """Kill a command with all its processes, as `kill -9` does."""
        command = self.commands[place]
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
            self.counts["killed"] += 1
        command.communicate()

    def replace(self) -> None:
        """Restart the commands that failed; one that was not killed must have said why."""
        for place, command in enumerate(self.commands):
            if command.poll():
                if command.returncode != -signal.SIGKILL:
                    error = command.communicate()[1]
                    assert error.strip().endswith("."), error
                    assert "Traceback" not in error, error
                    self.counts["rejected"] += 1
                self.commands[place] = self.start()

    def finish(self) -> None:
        """Wait until all commands have succeeded."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while any(command.poll() != 0 for command in self.commands):
            assert time.monotonic() < end, "a command hangs"
            self.replace()
            time.sleep(0.5)

    def close(self) -> None:
        """Kill the commands that still run."""
        for command in self.commands:
            with suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)
            if command.stderr and not command.stderr.closed:  # killed, and not replaced
                command.communicate()


def _count() -> dict[str, int]:
    """Return counts of the trials in the study and in MLflow, and of lost and duplicated ones."""
    (name,) = optuna.study.get_all_study_names(storage_url())
    study = optuna.load_study(study_name=name, storage=storage_url())
    counted = [trial for trial in study.trials if is_final(trial)]
    parameters = Counter(map(_parameters, counted))
    interrupted = [trial for trial in study.trials if not is_final(trial) and trial.params]
    recorded = Counter(_recorded_numbers())
    numbers = {trial.number for trial in counted}
    return {
        "finished": len(counted),
        "failed": sum(FAILURE in trial.user_attrs for trial in counted),
        "duplicated": sum(parameters.values()) - len(parameters),
        "lost": len({_parameters(trial) for trial in interrupted} - set(parameters)),
        "unfinished": sum(not trial.state.is_finished() for trial in study.trials),
        "recorded": len(recorded),
        "recorded twice": sum(recorded.values()) - len(recorded),
        "not recorded": len(numbers - set(recorded)),
        "recorded though killed": len(set(recorded) - numbers),
    }


def _parameters(trial: FrozenTrial) -> str:
    return json.dumps(trial.params, sort_keys=True)


def _recorded_numbers() -> Iterator[int]:
    """Yield the numbers of the trials that have MLflow runs."""
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment
    for run in client.search_runs([experiment.experiment_id], max_results=5000):
        if TRIAL in run.data.tags:
            yield int(run.data.tags[TRIAL].split()[-1])


@contextmanager
def _workspace(folder: Path) -> Iterator[None]:
    """Work in a new workspace with `digits`, whose trainings take a second or two."""
    before = Path.cwd()
    try:
        enter(folder)
        limit_epochs("digits", 30)
        prepare("digits")
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    print("\n".join(f"{key:24}{value}" for key, value in disturb_study().items()))
