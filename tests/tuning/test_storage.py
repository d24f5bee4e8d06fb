"""The Optuna storage: errors on opening, and retries while its database is unreachable."""

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, _CachedStorage
from optuna.trial import TrialState

from hourglass.tuning import locks
from hourglass.tuning.storage import open_storage, retry_trial, retrying
from hourglass.tuning.trial_attributes import VALUES


@pytest.fixture
def database(tmp_path, monkeypatch) -> RDBStorage:
    monkeypatch.setattr(locks, "PAUSE_SECONDS", 0.01)
    return RDBStorage(
        f"sqlite:///{tmp_path}/studies.db",
        heartbeat_interval=5,
        grace_period=60,
        heartbeat_stale_trial_callback=retry_trial,
    )


@pytest.fixture
def storage(database) -> BaseStorage:
    return retrying(database)


def interrupt(database: RDBStorage, times: int, interrupted: list[str]) -> None:
    """Let the next statements fail as they do if the connection is lost."""

    def fail(*arguments: object) -> None:
        if len(interrupted) < times:
            interrupted.append(str(arguments[2]))
            raise sqlalchemy.exc.OperationalError("gone", {}, Exception("gone"))

    sqlalchemy.event.listen(database.engine, "before_cursor_execute", fail)


def test_a_study_continues_although_every_step_is_interrupted(database, storage):
    study = optuna.create_study(storage=storage)
    for _ in range(3):
        interrupt(database, 5, [])
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("note", "kept")
        trial.report(x, 1)
        study.tell(trial, x)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert all(trial.user_attrs == {"note": "kept"} for trial in study.trials)


def test_retries_end_if_the_database_stays_unreachable(database, storage, monkeypatch):
    monkeypatch.setattr(locks, "RETRY_SECONDS", 0.1)
    study = optuna.create_study(storage=storage)
    interrupted: list[str] = []
    interrupt(database, 10_000, interrupted)
    with pytest.raises((StorageInternalError, sqlalchemy.exc.OperationalError)):
        study.ask()
    assert len(interrupted) > 2


def test_errors_of_the_caller_are_not_retried(storage):
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial._trial_id, "late", 1)


def test_every_call_that_reaches_the_database_is_retried(storage):
    interfaces = {name for base in _CachedStorage.__bases__ for name in dir(base)}
    implemented = {name for name in vars(_CachedStorage) if not name.startswith("__")}
    assert len(implemented & interfaces) > 20
    assert implemented & interfaces - {"_abc_impl"} <= vars(type(storage)).keys()


def test_a_trial_without_heartbeat_is_retried_through_the_wrapped_storage(database, storage):
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr(VALUES, trial.params)
    storage.record_heartbeat(trial._trial_id)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00'")
    optuna.storages.fail_stale_trials(study)
    assert [each.state.name for each in study.trials] == ["FAIL", "WAITING"]
    assert study.trials[1].params == trial.params


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
def test_an_unusable_storage_is_an_error_without_its_password(
    workspace, monkeypatch, refusal, url, words
):
    monkeypatch.setenv("HOURGLASS_OPTUNA_STORAGE", url)
    sentence = refusal(open_storage)
    assert "secret" not in sentence
    for word in words:
        assert word in sentence
