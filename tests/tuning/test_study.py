"""Studies: which trials count, and retries of killed ones."""

import subprocess
import sys
from datetime import datetime, timedelta

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from hourglass.tuning import study as studies
from hourglass.tuning.objectives import Detection
from hourglass.tuning.storage import MAX_RETRIES
from hourglass.tuning.study import retry_killed, worker_name
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, VALUES, WORKER
from tests.tuning.studies import states

LIVE = worker_name("a-command")


@pytest.fixture(scope="module")
def dead() -> str:
    """Return the name of a worker whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = f"{psutil.Process(process.pid).create_time():.0f}"
    process.communicate(b"\n")
    return f"{LIVE.split()[0]} {process.pid} {created} a-command"


def start(study: optuna.Study, worker: str | None) -> optuna.Trial:
    trial = study.ask()
    value = trial.suggest_float("noise_factor", 0, 1)
    trial.set_user_attr(VALUES, {"noise_factor": value})
    if worker:
        trial.set_user_attr(WORKER, worker)
    return trial


def test_a_killed_trial_runs_again_with_its_values_and_counts_once(study, dead):
    killed = start(study, dead)
    killed.set_user_attr(HISTORY, [1, 2])
    assert studies.count(study) == (0, 1, 0)
    retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]
    assert studies.count(study) == (0, 0, 1)
    assert study.trials[1].user_attrs.keys() == {VALUES}  # nothing of the unfinished training
    again = study.ask()
    assert again.suggest_float("noise_factor", 0, 1) == killed.params["noise_factor"]
    study.tell(again, 0.5)
    assert studies.count(study) == (1, 0, 0)
    assert [trial.number for trial in studies.finished(study)] == [1]


def test_a_retry_that_is_killed_before_it_starts_runs_again_with_its_values(study, dead):
    killed = start(study, dead)
    retry_killed(study)
    study.ask().set_user_attr(WORKER, dead)
    retry_killed(study)
    assert study.ask().suggest_float("noise_factor", 0, 1) == killed.params["noise_factor"]


@pytest.mark.parametrize(
    "worker", [LIVE, "elsewhere-0 1 1 a-command"], ids=["this process", "another machine"]
)
def test_live_trials_and_those_of_other_machines_go_on(study, worker):
    start(study, worker)
    retry_killed(study)
    assert states(study) == ["RUNNING"]


def test_a_process_with_the_id_of_a_dead_one_is_another(study):
    machine, pid, created, command = LIVE.split()
    start(study, f"{machine} {pid} {float(created) - 1000:.0f} {command}")
    retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_without_a_worker_is_abandoned_after_a_while(study, monkeypatch):
    start(study, None)
    retry_killed(study)
    assert states(study) == ["RUNNING"]

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=studies.NO_WORKER_SECONDS + 1)

    monkeypatch.setattr(studies, "datetime", Later)
    retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_that_kills_its_worker_every_time_fails_and_counts(study, dead):
    start(study, dead)
    for _ in range(MAX_RETRIES):
        retry_killed(study)
        start(study, dead)
    retry_killed(study)
    assert states(study) == ["FAIL"] * (MAX_RETRIES + 1)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 1
    assert studies.count(study) == (1, 0, 0)  # otherwise it would be drawn again


def test_a_trial_that_was_killed_while_it_was_drawn_is_drawn_again(study, dead):
    study.ask().set_user_attr(WORKER, dead)
    retry_killed(study)
    assert states(study) == ["FAIL"]
    assert studies.count(study) == (0, 0, 0)


def test_the_first_trial_runs_again_if_it_was_killed_while_it_was_drawn(study, dead):
    study.enqueue_trial({"noise_factor": 0.25})
    study.ask().set_user_attr(WORKER, dead)
    retry_killed(study)
    assert study.ask().suggest_float("noise_factor", 0, 1) == 0.25


@pytest.mark.parametrize("killed", [True, False])
def test_a_trial_whose_training_failed_counts_and_does_not_run_again(study, dead, killed):
    trial = start(study, dead if killed else LIVE)
    trial.set_user_attr(FAILURE, "it diverged.")
    if not killed:
        study.tell(trial, state=TrialState.FAIL)
    retry_killed(study)
    assert states(study) == ["FAIL"]
    assert studies.count(study) == (1, 0, 0)


def test_two_processes_that_create_a_study_get_one_first_trial(workspace):
    for _ in range(2):
        study = studies.create("name", {"seed": 0}, Detection(), {"latent_dim": 4})
    assert states(study) == ["WAITING"]
