"""Workers of one study that are killed, and a database that is restarted meanwhile."""

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import mlflow
import optuna
from hosting.team import MEMBER, Team, temporary_team
from optuna.trial import FrozenTrial

from hourglass.tracking.connection import EXPERIMENT
from hourglass.tuning.locks import storage_url
from hourglass.tuning.mlflow_record import TRIAL
from hourglass.tuning.study import is_final
from hourglass.tuning.trial_attributes import FAILURE
from tests.robustness.checkout import HOURGLASS, TIMEOUT_SECONDS, Checkout, message
from tests.workspaces import set_yaml

WORKERS = 4
LOSSES = (
    *("failed", "duplicated", "lost", "unfinished"),
    *("recorded twice", "not recorded", "recorded though killed"),
)


def disturb_study(
    kills: int, restarts: int = 0, seconds_between: float = 10, trials: int = 60
) -> dict[str, int]:
    """Run a study on temporary servers, disturb its workers, and return counts of its trials.

    Args:
        kills: number of workers to kill, each with the command that started it; a killed one is
            replaced
        restarts: number of restarts of PostgreSQL
        seconds_between: time between two faults
        trials: number of trials of the study

    """
    with tempfile.TemporaryDirectory() as name, temporary_team() as team:
        folder = Path(name, "checkout")
        variables = team.variables(MEMBER, team.secrets["hourglass"])
        checkout = Checkout(Checkout.new(folder, "small").folder, variables)
        training = {"batch_size": 64, "max_epochs": 30, "patience": 30}
        set_yaml(folder / "configs/data/digits.yaml", "training", value=training)
        checkout.run(*HOURGLASS, "prepare", "digits")
        try:
            counts = _disturb(checkout, team, kills, restarts, seconds_between, trials)
        finally:
            checkout.cut_power()
        with mock.patch.dict(os.environ, variables):
            return {"requested": trials, **counts, **_count()}


def _disturb(
    checkout: Checkout, team: Team, kills: int, restarts: int, seconds_between: float, trials: int
) -> Counter[str]:
    """Inject the faults into a study; return the numbers of killed and of rejected commands."""
    rng, counts = random.Random(0), Counter(killed=0, rejected=0)
    tune = (*HOURGLASS, "tune", "digits", "denoising", "--trials", str(trials))
    commands = [checkout.start(*tune) for _ in range(WORKERS)]
    faults = ["kill"] * kills + ["restart"] * restarts
    rng.shuffle(faults)
    end = time.monotonic() + TIMEOUT_SECONDS
    while faults or any(command.process.poll() != 0 for command in commands):
        assert time.monotonic() < end, "a command hangs"
        time.sleep(seconds_between if faults else 0.5)
        fault = faults.pop() if faults else ""
        if fault == "kill":
            victim = rng.choice(commands).process
            if victim.poll() is None:
                os.killpg(victim.pid, signal.SIGKILL)
                counts["killed"] += 1
        elif fault == "restart":
            team.database.stop("immediate")  # like a crash
            time.sleep(2)
            team.database.start()
        for i, command in enumerate(commands):
            if command.lives_after(0.1) or command.process.returncode == 0:
                continue
            if command.process.returncode != -signal.SIGKILL:  # it must have said why it stopped
                _, output = command.wait()
                assert message(output), output
                assert "Traceback" not in output, output
                counts["rejected"] += 1
            commands[i] = checkout.start(*tune)
    return counts


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
