"""A storage whose database is away for a while: what is tried again, and what is not."""

import inspect
import re

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState

from hourglass.tuning import locks
from hourglass.tuning.retrying_storage import RetryingStorage


@pytest.fixture
def storage(tmp_path, monkeypatch) -> RetryingStorage:
    monkeypatch.setattr(locks, "PAUSE", 0.01)
    return RetryingStorage(f"sqlite:///{tmp_path}/studies.db")


def break_off(storage: RDBStorage, times: int, seen: list[str]) -> None:
    """Have the next statements fail as those do whose connection is gone."""

    def fail(*arguments: object) -> None:
        if len(seen) < times:
            seen.append(str(arguments[2]))
            raise sqlalchemy.exc.OperationalError("gone", {}, Exception("gone"))

    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", fail)


def test_a_study_goes_on_though_every_step_is_broken_off(storage):
    study = optuna.create_study(storage=storage)
    for _ in range(3):
        break_off(storage, 5, [])
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("note", "kept")
        trial.report(x, 1)
        study.tell(trial, x)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert all(trial.user_attrs == {"note": "kept"} for trial in study.trials)


def test_a_database_that_stays_away_is_no_longer_waited_for(storage, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    study = optuna.create_study(storage=storage)
    seen: list[str] = []
    break_off(storage, 10_000, seen)
    with pytest.raises((StorageInternalError, sqlalchemy.exc.OperationalError)):
        study.ask()
    assert len(seen) > 2


def test_what_the_storage_refuses_is_not_tried_again(storage):
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial._trial_id, "late", 1)


def test_all_that_optuna_calls_of_a_storage_is_patient():
    called = set(re.findall(r"_backend\.(\w+)\(", inspect.getsource(_CachedStorage)))
    settings = {"get_heartbeat_interval", "get_heartbeat_stale_trial_callback"}
    impatient = {
        name for name in called if getattr(RetryingStorage, name) is getattr(RDBStorage, name)
    }
    assert len(called) > 20
    assert impatient <= settings
