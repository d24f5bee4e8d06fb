"""The database of the record is there whole or not at all."""

import sqlite3

import pytest

from hourglass.tracking import store


def tables(path) -> set[str]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    return {name for (name,) in found}


def test_a_database_that_could_not_be_finished_is_not_there(tmp_path, monkeypatch):
    from mlflow.store.db import utils

    def make(engine) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE experiments (id INTEGER)")

    def cut_short(engine) -> None:
        make(engine)
        raise OSError(28, "No space left on device")

    path, uri = tmp_path / "mlflow.db", f"sqlite:///{tmp_path}/mlflow.db?timeout=20"
    monkeypatch.setattr(utils, "_initialize_tables", cut_short)
    with pytest.raises(OSError, match="No space"):
        store.make_whole(uri)
    assert list(tmp_path.iterdir()) == []
    # What a kill leaves of it stands in nobody's way.
    (tmp_path / "mlflow.db.making").write_bytes(b"half")
    (tmp_path / "mlflow.db.making-journal").write_bytes(b"of another file")
    monkeypatch.setattr(utils, "_initialize_tables", make)
    store.make_whole(uri)
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]
    assert tables(path) == {"experiments"}


def test_a_database_that_is_there_is_left_as_it_is(tmp_path):
    path = tmp_path / "mlflow.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    store.make_whole(f"sqlite:///{path}")
    assert tables(path) == {"mine"}
