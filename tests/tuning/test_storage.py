"""The Optuna storage: errors on opening, waits for its database, and retries of stale trials."""

import sqlite3
from contextlib import closing

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from hourglass.tuning import locks
from hourglass.tuning.storage import open_storage


@pytest.fixture
def database(workspace) -> RDBStorage:
    storage = open_storage()
    assert isinstance(storage, RDBStorage)
    return storage


def test_studies_are_in_the_project_folder_for_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "100%20 Ü #1 ?x=1#frag&'q\""
    folder.mkdir()
    monkeypatch.chdir(folder)
    optuna.create_study(storage=open_storage(), study_name="kept")
    with closing(sqlite3.connect(folder / "optuna.db")) as database:
        assert database.execute("SELECT study_name FROM studies").fetchall() == [("kept",)]
    assert list(tmp_path.iterdir()) == [folder]


def refuse_connections(database: RDBStorage, monkeypatch, times: int) -> list[str]:
    """Close all connections, and refuse the next ones; return a list of the refusals."""
    refused: list[str] = []
    connect = database.engine.dialect.connect

    def refuse(*arguments: object, **options: object) -> object:
        if len(refused) < times:
            refused.append("refused")
            raise sqlite3.OperationalError("gone")
        return connect(*arguments, **options)

    monkeypatch.setattr(locks, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(database.engine.dialect, "connect", refuse)
    locks.wait_for_database(database.engine)
    database.engine.dispose()
    return refused


def test_a_study_continues_after_outages_of_its_database(database, monkeypatch):
    study = optuna.create_study(storage=database)
    for _ in range(3):
        trial = study.ask()
        refused = refuse_connections(database, monkeypatch, 5)
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("note", "kept")
        study.tell(trial, x)
        assert len(refused) == 5
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert all(trial.user_attrs == {"note": "kept"} for trial in study.trials)


def test_waiting_ends_if_the_database_stays_unreachable(database, monkeypatch):
    monkeypatch.setattr(locks, "RETRY_SECONDS", 0.1)
    study = optuna.create_study(storage=database)
    refused = refuse_connections(database, monkeypatch, 10_000)
    with pytest.raises((StorageInternalError, OperationalError)):
        study.ask()
    assert len(refused) > 2


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("nonsense", "HOURGLASS_OPTUNA_STORAGE"),
        ("postgresql//me:secret@127.0.0.1/none", "HOURGLASS_OPTUNA_STORAGE"),
        ("postgresql://127.0.0.1:1/none?user=me&password=secret", "127.0.0.1"),
        ("sqlite:////no/such/folder/optuna.db", "/no/such/folder"),
        ("postgres://me:secret@127.0.0.1:1/none", "127.0.0.1"),
        ("postgresql://me:a@secret@127.0.0.1:1/none", "%40"),
        ("postgresql://me:a/secret@127.0.0.1:1/none", "127.0.0.1"),
        ("postgresql://me:secret@127.0.0.1:secret/none", "HOURGLASS_OPTUNA_STORAGE"),
    ],
)
def test_an_unusable_storage_is_an_error_without_its_password(
    workspace, monkeypatch, refusal, url, word
):
    monkeypatch.setenv("HOURGLASS_OPTUNA_STORAGE", url)
    sentence = refusal(open_storage)
    assert "secret" not in sentence
    assert word in sentence
