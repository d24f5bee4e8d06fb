"""Studies in their storage: which trials count, and what becomes of killed ones."""

import subprocess
import sys
from datetime import datetime, timedelta

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from hourglass.tuning import retries
from hourglass.tuning import study as studies
from hourglass.tuning.attributes import REFUSED, VALUES, WORKER
from hourglass.tuning.objectives import Detection
from hourglass.tuning.retries import retry_killed, worker_name
from hourglass.tuning.storage import open_storage


def begin(study: optuna.Study, worker: str | None) -> optuna.Trial:
    trial = study.ask()
    value = trial.suggest_float("noise_factor", 0, 1)
    trial.set_user_attr(VALUES, {"noise_factor": value})
    if worker:
        trial.set_user_attr(WORKER, worker)
    return trial


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def dead() -> str:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = worker_name("a-command").split()
    created = f"{psutil.Process(process.pid).create_time():.0f}"
    process.communicate(b"\n")
    return f"{name[0]} {process.pid} {created} a-command"


def test_a_killed_trial_is_run_again_with_its_values(study):
    trial = begin(study, dead())
    retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]
    again = study.ask()
    assert again.suggest_float("noise_factor", 0, 1) == trial.params["noise_factor"]


def test_a_killed_trial_counts_once(study):
    begin(study, dead())
    assert studies.Standing.of(study).begun == 1
    retry_killed(study)
    assert studies.Standing.of(study).begun == 1
    assert studies.finished(study) == []
    study.tell(study.ask(), 0.5)
    assert studies.Standing.of(study).begun == len(studies.finished(study)) == 1


def test_a_live_trial_is_left_alone(study):
    begin(study, worker_name("a-command"))
    retry_killed(study)
    assert states(study) == ["RUNNING"]


def test_a_trial_of_another_machine_is_left_to_its_heartbeat(study):
    begin(study, "elsewhere-0 1 1 a-command")
    retry_killed(study)
    assert states(study) == ["RUNNING"]


def test_a_process_with_the_number_of_a_dead_one_is_another(study):
    machine, pid, created, command = worker_name("a-command").split()
    begin(study, f"{machine} {pid} {float(created) - 1000:.0f} {command}")
    retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_that_never_had_a_worker_is_given_up_after_a_while(study, monkeypatch):
    begin(study, None)
    retry_killed(study)
    assert states(study) == ["RUNNING"]

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=retries.NAMELESS + 1)

    monkeypatch.setattr(retries, "datetime", Later)
    retry_killed(study)
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_that_kills_its_worker_every_time_is_given_up(study):
    begin(study, dead())
    for _ in range(retries.RETRIES):
        retry_killed(study)
        begin(study, dead())
    retry_killed(study)
    assert states(study) == ["FAIL"] * (retries.RETRIES + 1)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 1
    assert (
        studies.Standing.of(study).begun == len(studies.finished(study)) == 1
    )  # else it would be drawn again


def test_a_trial_that_was_killed_while_it_was_drawn_is_drawn_anew(study):
    study.ask().set_user_attr(WORKER, dead())
    retry_killed(study)
    assert states(study) == ["FAIL"]
    assert studies.Standing.of(study).begun == 0


def test_the_first_trial_is_kept_when_it_is_killed_while_it_is_drawn(study):
    study.enqueue_trial({"noise_factor": 0.25})
    study.ask().set_user_attr(WORKER, dead())
    retry_killed(study)
    assert study.ask().suggest_float("noise_factor", 0, 1) == 0.25


def test_a_trial_that_failed_by_itself_is_not_run_again_though_it_was_killed_then(study):
    trial = begin(study, dead())
    trial.set_user_attr(REFUSED, "it diverged.")
    retry_killed(study)
    assert states(study) == ["FAIL"]
    assert len(studies.finished(study)) == 1


def test_a_retry_has_nothing_of_what_the_killed_process_noted(study):
    begin(study, dead()).set_user_attr("history", [1, 2])
    retry_killed(study)
    assert study.trials[1].user_attrs == {}


def test_a_trial_that_failed_by_itself_counts(study):
    trial = begin(study, worker_name("a-command"))
    trial.set_user_attr(REFUSED, "it diverged.")
    study.tell(trial, state=TrialState.FAIL)
    assert len(studies.finished(study)) == 1


def test_two_that_create_a_study_have_one_first_trial(workspace):
    for _ in range(2):
        study = studies.create("name", {"seed": 0}, Detection(), {"latent_dim": 4})
    assert states(study) == ["WAITING"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", ["HOURGLASS_OPTUNA_STORAGE"]),
        ("postgresql//me:secret@127.0.0.1/none", ["HOURGLASS_OPTUNA_STORAGE"]),
        ("postgresql://127.0.0.1:1/none?user=me&password=secret", ["127.0.0.1"]),
        ("sqlite:////no/such/folder/optuna.db", ["/no/such/folder"]),
        ("postgresql://me:secret@127.0.0.1:1/none", ["127.0.0.1"]),
        ("postgres://me:secret@127.0.0.1:1/none", ["127.0.0.1"]),
        ("postgresql://me:a@secret@127.0.0.1:1/none", ["%40"]),
        ("postgresql://me:a/secret@127.0.0.1:1/none", ["127.0.0.1"]),
        ("postgresql://me:secret@127.0.0.1:secret/none", ["HOURGLASS_OPTUNA_STORAGE"]),
    ],
)
def test_a_storage_that_cannot_be_opened_is_refused(workspace, monkeypatch, refusal, url, words):
    monkeypatch.setenv("HOURGLASS_OPTUNA_STORAGE", url)
    sentence = refusal(open_storage)
    assert "secret" not in sentence
    for word in words:
        assert word in sentence
