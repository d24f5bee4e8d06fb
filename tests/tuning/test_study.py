"""Studies: which trials count, and retries of killed ones."""

import optuna
import pytest
from optuna.trial import TrialState

from hourglass.tuning import study as studies
from hourglass.tuning.objectives import Detection
from hourglass.tuning.storage import MAX_RETRIES
from hourglass.tuning.study import retry_killed
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, VALUES, WORKER
from tests.tuning.studies import states

LIVE, KILLED = "live", "killed"  # commands


def start(study: optuna.Study, command: str = KILLED) -> optuna.Trial:
    trial = study.ask()
    trial.set_user_attr(WORKER, f"{command} 0")
    value = trial.suggest_float("noise_factor", 0, 1)
    trial.set_user_attr(VALUES, {"noise_factor": value})
    return trial


def test_a_killed_trial_runs_again_with_its_values_and_counts_once(study):
    killed = start(study)
    killed.set_user_attr(HISTORY, [1, 2])
    assert studies.count(study) == (0, 1, 0)
    retry_killed(study, KILLED)
    assert states(study) == ["FAIL", "WAITING"]
    assert studies.count(study) == (0, 0, 1)
    assert study.trials[1].user_attrs.keys() == {VALUES}  # nothing of the unfinished training
    again = study.ask()
    assert again.suggest_float("noise_factor", 0, 1) == killed.params["noise_factor"]
    study.tell(again, 0.5)
    assert studies.count(study) == (1, 0, 0)
    assert [trial.number for trial in studies.finished(study)] == [1]


def test_only_trials_without_a_recent_heartbeat_are_stale(study):
    live, stale = start(study, LIVE), start(study, LIVE)
    storage = study._storage._backend
    for trial in (live, stale):
        storage.record_heartbeat(trial._trial_id)
    retry_killed(study)
    assert states(study) == ["RUNNING", "RUNNING"]
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trial_heartbeats SET heartbeat = '2000-01-01' WHERE trial_id = ?",
            (stale._trial_id,),
        )
    retry_killed(study)
    assert states(study) == ["RUNNING", "FAIL", "WAITING"]
    assert study.trials[2].params == stale.params


def test_a_trial_that_kills_its_worker_every_time_fails_and_counts(study):
    start(study)
    for _ in range(MAX_RETRIES):
        retry_killed(study, KILLED)
        start(study)
    retry_killed(study, KILLED)
    assert states(study) == ["FAIL"] * (MAX_RETRIES + 1)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 1
    assert studies.count(study) == (1, 0, 0)  # otherwise it would be drawn again


def test_a_trial_is_enqueued_once_although_two_workers_find_it_interrupted(study):
    number = start(study).number
    for _ in range(2):
        studies.retry(study, study.trials[number])
    assert states(study) == ["FAIL", "WAITING"]


def test_a_trial_that_ended_before_its_connection_broke_is_not_enqueued(study):
    number = study.tell(start(study), 0.5).number
    studies.retry(study, study.trials[number])
    assert states(study) == ["COMPLETE"]


def test_a_trial_that_was_killed_before_it_had_a_worker_is_drawn_again(study):
    study.ask()
    retry_killed(study)
    assert states(study) == ["FAIL"]
    assert studies.count(study) == (0, 0, 0)


def test_a_retry_that_is_killed_before_it_starts_runs_again_with_its_values(study):
    killed = start(study)
    retry_killed(study, KILLED)
    study.ask()
    retry_killed(study)
    assert study.ask().suggest_float("noise_factor", 0, 1) == killed.params["noise_factor"]


def test_the_first_trial_runs_again_if_it_was_killed_while_it_was_drawn(study):
    study.enqueue_trial({"noise_factor": 0.25})
    study.ask()
    retry_killed(study)
    assert study.ask().suggest_float("noise_factor", 0, 1) == 0.25


@pytest.mark.parametrize("command", [KILLED, LIVE])
def test_a_trial_whose_training_failed_counts_and_does_not_run_again(study, command):
    trial = start(study, command)
    trial.set_user_attr(FAILURE, "it diverged.")
    if command == LIVE:
        study.tell(trial, state=TrialState.FAIL)
    retry_killed(study, KILLED)
    assert states(study) == ["FAIL"]
    assert studies.count(study) == (1, 0, 0)


def test_two_processes_that_create_a_study_get_one_first_trial(workspace):
    for _ in range(2):
        study = studies.create("name", {"seed": 0}, Detection(), {"latent_dim": 4})
    assert states(study) == ["WAITING"]
