"""Studies in their storage: which trials count, and what becomes of killed ones."""

import subprocess
import sys
from datetime import datetime, timedelta

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from hourglass.tuning import study as studies
from hourglass.tuning.objectives import Detection


def begin(study: optuna.Study, worker: str | None) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("noise_factor", 0, 1)
    if worker:
        trial.set_user_attr(studies.WORKER, worker)
    return trial


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def dead() -> str:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = studies.worker_name().split()
    created = f"{psutil.Process(process.pid).create_time():.2f}"
    process.communicate()
    return f"{name[0]} {process.pid} {created}"


def test_a_killed_trial_is_run_again_with_its_values(study):
    trial = begin(study, dead())
    studies.retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]
    again = study.ask()
    assert again.suggest_float("noise_factor", 0, 1) == trial.params["noise_factor"]


def test_a_killed_trial_counts_once(study):
    begin(study, dead())
    assert studies.begun(study) == 1
    studies.retry_killed(study)
    assert studies.begun(study) == 1
    assert studies.finished(study) == []
    study.tell(study.ask(), 0.5)
    assert studies.begun(study) == len(studies.finished(study)) == 1


def test_a_live_trial_is_left_alone(study):
    begin(study, studies.worker_name())
    studies.retry_killed(study)
    assert states(study) == ["RUNNING"]


def test_a_trial_of_another_machine_is_left_to_its_heartbeat(study):
    begin(study, "elsewhere 1 1.00")
    studies.retry_killed(study)
    assert states(study) == ["RUNNING"]


def test_a_process_with_the_number_of_a_dead_one_is_another(study):
    host, pid, created = studies.worker_name().split()
    begin(study, f"{host} {pid} {float(created) - 1000:.2f}")
    studies.retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_that_never_had_a_worker_is_given_up_after_a_while(study, monkeypatch):
    begin(study, None)
    studies.retry_killed(study)
    assert states(study) == ["RUNNING"]

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=studies.GRACE + 1)

    monkeypatch.setattr(studies, "datetime", Later)
    studies.retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_that_kills_its_worker_every_time_is_given_up(study):
    begin(study, dead())
    for _ in range(studies.RETRIES):
        studies.retry_killed(study)
        study.ask().set_user_attr(studies.WORKER, dead())
    studies.retry_killed(study)
    assert states(study) == ["FAIL"] * (studies.RETRIES + 1)
    assert studies.begun(study) == 0


def test_a_trial_that_failed_by_itself_counts(study):
    trial = begin(study, studies.worker_name())
    trial.set_user_attr(studies.REFUSED, "it diverged.")
    study.tell(trial, state=TrialState.FAIL)
    assert len(studies.finished(study)) == 1


def test_two_that_create_a_study_have_one_first_trial(workspace):
    for _ in range(2):
        study = studies.create("name", {"seed": 0}, Detection(), {"latent_dim": 4})
    assert states(study) == ["WAITING"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", ["nonsense", "HOURGLASS_OPTUNA_STORAGE"]),
        ("sqlite:////no/such/folder/optuna.db", ["/no/such/folder"]),
        ("postgresql://me:secret@127.0.0.1:1/none", ["127.0.0.1"]),
    ],
)
def test_a_storage_that_cannot_be_opened_is_refused(workspace, monkeypatch, refusal, url, words):
    monkeypatch.setenv("HOURGLASS_OPTUNA_STORAGE", url)
    sentence = refusal(studies.storage)
    assert "secret" not in sentence
    for word in words:
        assert word in sentence
