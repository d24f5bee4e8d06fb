"""Kill those who work at one study, restart its database, and count what came of it.

PYTHONPATH=src:scripts python -m faults.workers           # two minutes of kills, then the rest
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import mlflow
import optuna
import yaml
from hosting.team import MEMBER, Team
from hosting.temporary import temporary_team
from optuna.trial import FrozenTrial
from workspace import ROOT, enter

from hourglass.stages.prepare import prepare
from hourglass.tracking.store import EXPERIMENT
from hourglass.tuning.attributes import FAILURE
from hourglass.tuning.locks import storage_url
from hourglass.tuning.mlflow_record import TRIAL
from hourglass.tuning.study import is_final

PATIENCE = 900  # seconds after which a command hangs


def main(
    kills: int = 12, restarts: int = 0, every: float = 10, trials: int = 60, workers: int = 4
) -> dict[str, int]:
    """Start servers and a workspace of their own, make the faults, and return the counts.

    Args:
        kills: how many workers are killed, each with the command that started it
        restarts: how often PostgreSQL is stopped and started again
        every: seconds between two faults
        trials: how many the study is to have
        workers: how many work at it at once, each started anew when it is killed

    """
    with tempfile.TemporaryDirectory() as name, temporary_team() as team, _working_in(Path(name)):
        variables = team.variables(MEMBER, team.secrets["hourglass"])
        with mock.patch.dict(os.environ, variables):
            return disturb(team, kills, restarts, every, trials, workers)


def disturb(
    team: Team, kills: int, restarts: int, every: float, trials: int, workers: int
) -> dict[str, int]:
    """Make the faults in the current folder, for whose process the servers are named."""
    crew = Crew(trials, [])
    moments = random.Random(0)
    faults = ["kill"] * kills + ["restart"] * restarts
    moments.shuffle(faults)
    try:
        for _ in range(workers):
            crew.start()
        for fault in faults:
            time.sleep(every)
            if fault == "kill":
                crew.kill(moments.randrange(workers))
            else:
                team.database.stop("immediate")  # as a crash
                time.sleep(2)
                team.database.start()
            crew.replace()
        crew.finish()
    finally:
        crew.end()
    return {"asked": trials, **crew.seen, **_count()}


@dataclass
class Crew:
    """Commands that work at one study, each with one worker, in a session of its own."""

    trials: int
    commands: list["subprocess.Popen[str]"]
    seen: Counter[str] = field(default_factory=lambda: Counter(killed=0, refused=0))

    def start(self, place: int | None = None) -> None:
        """Start one more, or one in the place of another."""
        words = ["tune", "digits", "denoising", "--trials", str(self.trials)]
        command = subprocess.Popen(
            [sys.executable, "-m", "hourglass", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if place is None:
            self.commands.append(command)
        else:
            self.commands[place] = command

    def kill(self, place: int) -> None:
        """Kill a command, its worker and its record, as `kill -9` does; nobody can clear up."""
        command = self.commands[place]
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
            self.seen["killed"] += 1
        command.communicate()

    def replace(self) -> None:
        """Start those anew that did not come to their end.

        Raises an AssertionError for one that ended by itself without a sentence.
        """
        for place, command in enumerate(self.commands):
            if command.poll():
                if command.returncode != -signal.SIGKILL:
                    self._refused(command)
                self.start(place)

    def finish(self) -> None:
        """Wait until all have come to their end."""
        end = time.monotonic() + PATIENCE
        while any(command.poll() != 0 for command in self.commands):
            assert time.monotonic() < end, "a command hangs"
            self.replace()
            time.sleep(0.5)

    def end(self) -> None:
        """Kill whatever still runs."""
        for command in self.commands:
            with suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)
            if command.stderr and not command.stderr.closed:  # it was killed, and not replaced
                command.communicate()

    def _refused(self, command: "subprocess.Popen[str]") -> None:
        said = command.communicate()[1]
        assert said.strip().endswith("."), said
        assert "Traceback" not in said, said
        self.seen["refused"] += 1


def _count() -> dict[str, int]:
    """Return what the study and the record hold, and how often a trial is lost or doubled."""
    (name,) = optuna.study.get_all_study_names(storage_url())
    study = optuna.load_study(study_name=name, storage=storage_url())
    counted = [trial for trial in study.trials if is_final(trial)]
    draws = Counter(map(_draw, counted))
    cut = [each for each in study.trials if not is_final(each) and each.params]
    recorded = Counter(_recorded())
    numbers = {trial.number for trial in counted}
    return {
        "counted": len(counted),
        "failed by themselves": sum(FAILURE in trial.user_attrs for trial in counted),
        "doubled": sum(draws.values()) - len(draws),
        "lost": len({_draw(each) for each in cut} - set(draws)),
        "open": sum(not trial.state.is_finished() for trial in study.trials),
        "recorded": len(recorded),
        "recorded twice": sum(recorded.values()) - len(recorded),
        "not recorded": len(numbers - set(recorded)),
        "recorded though killed": len(set(recorded) - numbers),
    }


def _draw(trial: FrozenTrial) -> str:
    return json.dumps(trial.params, sort_keys=True)


def _recorded() -> Iterator[int]:
    """Yield the numbers of the trials that MLflow has runs of."""
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment
    for run in client.search_runs([experiment.experiment_id], max_results=5000):
        if TRIAL in run.data.tags:
            yield int(run.data.tags[TRIAL].split()[-1])


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Work in a new workspace with digits, whose trainings take a second or two."""
    before = Path.cwd()
    try:
        enter(folder)
        path = Path("configs/data/digits.yaml")
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings["training"] |= {"max_epochs": 30, "patience": 30}
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        prepare("digits")
        yield
    finally:
        os.chdir(before)


def report(found: Mapping[str, int]) -> str:
    """Return the counts as lines of text."""
    return "\n".join(f"{key:24}{value}" for key, value in found.items())


if __name__ == "__main__":
    print(report(main()))
