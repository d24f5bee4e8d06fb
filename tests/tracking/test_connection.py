"""The store: created whole, its errors classified, and no stage stopped or lost by them."""

import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hourglass.cli.record import record
from hourglass.core.errors import UserError
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.tracking import connection
from hourglass.tracking.connection import StoreUnavailable, classify_error
from hourglass.tracking.recording import recording
from tests.tracking.stored import CELL, rows
from tests.workspaces import DirectRecorder, Project, working_in

FOLDER = "runs/digits/denoising"
WRITTEN = {
    "train": "train/weights.safetensors",
    "calibrate-threshold": "calibrate/threshold.json",
    "evaluate": "evaluate/metrics.json",
}


# The database file.


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for (name,) in found}


def test_a_database_that_could_not_be_completed_does_not_exist(tmp_path, monkeypatch):
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
        connection.create_database(uri)
    assert list(tmp_path.iterdir()) == []
    # The remains of a killed process do no harm.
    (tmp_path / "mlflow.db.writing").write_bytes(b"half")
    (tmp_path / "mlflow.db.writing-journal").write_bytes(b"of another file")
    monkeypatch.setattr(utils, "_initialize_tables", make)
    connection.create_database(uri)
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]
    assert tables(path) == {"experiments"}


def test_an_existing_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (x)")
    connection.create_database(f"sqlite:///{path}")
    assert tables(path) == {"mine"}


@pytest.mark.parametrize("name", ["Ü 100%20 #1 [2]", "a:b?x=1#frag&'q\""])
def test_the_store_is_in_the_project_folder_for_any_name(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    with working_in(folder):
        client, experiment = connection.connect(folder)
        run = client.create_run(experiment).info.run_id
        client.log_text(run, "text", "file.txt")
    assert [each.path for each in client.list_artifacts(run)] == ["file.txt"]
    assert (folder / "mlruns" / run / "artifacts/file.txt").exists()
    assert (folder / "mlflow.db").exists()
    assert list(tmp_path.iterdir()) == [folder]


# The meaning of errors.


def test_errors_that_pass_are_told_from_those_that_stay():
    from mlflow.exceptions import MlflowException, RestException
    from requests import ConnectionError as NoConnection
    from sqlalchemy.exc import OperationalError

    def classified(error: Exception) -> type:
        return type(classify_error(error, "record this", "http://me:secret@host:1"))

    locked = OperationalError("BEGIN", {}, sqlite3.OperationalError("database is locked"))
    for error in (locked, NoConnection("refused"), TimeoutError(), OSError(28, "No space left")):
        assert classified(error) is StoreUnavailable
    for code in ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR"):
        assert classified(RestException({"error_code": code})) is StoreUnavailable
    for error in (MlflowException("no", 1000), KeyError("x"), OSError(2, "No such file")):
        assert classified(error) is UserError
    denied = classify_error(
        RestException({"error_code": "PERMISSION_DENIED"}), "record this", "http://me:secret@host:1"
    )
    assert "MLFLOW_TRACKING_USERNAME" in str(denied)
    assert "http://host:1" in str(denied)
    assert "secret" not in str(denied)


# Stages whose store fails; the recording of a stage is that of its process.


@contextmanager
def answering(status: int, health: int = 200) -> Iterator[str]:
    """Give the address of a server that answers every request with the same status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"no JSON"
            self.send_response(health if self.path == "/health" else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def listening(accept: bool) -> Iterator[str]:
    """Give the address of a server that hangs up, or that accepts and never answers."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        if not accept:
            threading.Thread(target=hang_up, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def closed_port() -> str:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def failing_store(kind: str, folder: Path) -> Iterator[str]:
    """Give the URI of a store that fails; "" for the folder's own database."""
    from mlflow import MlflowClient

    local = f"sqlite:///{folder}/mlflow.db"
    if kind == "no server":
        yield closed_port()
    elif kind == "hangs up":
        with listening(accept=False) as uri:
            yield uri
    elif kind.isdigit():
        with answering(int(kind), health=int(kind) if int(kind) >= 500 else 200) as uri:
            yield uri
    elif kind == "no database":
        (folder / "mlflow.db").write_bytes(b"this is no database" * 1000)
        yield ""
    elif kind == "deleted experiment":
        client = MlflowClient(local)
        client.delete_experiment(client.create_experiment("hourglass"))
        yield ""
    elif kind == "read-only":
        MlflowClient(local).search_experiments()
        yield f"sqlite:///file:{folder}/mlflow.db?mode=ro&uri=true"
    else:
        yield "carrier-pigeon://coop"


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("no server", "does not answer"),
        ("hangs up", "does not answer"),
        ("503", "answers 503"),
        ("401", "MLFLOW_TRACKING_PASSWORD"),
        ("200", "not in a valid JSON format"),
        ("no database", "could not record"),
        ("unknown", "carrier-pigeon"),
        ("deleted experiment", "restore it"),
        ("read-only", "readonly database"),
    ],
)
def test_a_store_that_fails_stops_no_stage(clone, monkeypatch, capsys, kind, word):
    threshold = clone / FOLDER / "calibrate/threshold.json"
    shutil.rmtree(threshold.parent)
    with working_in(clone, DirectRecorder), failing_store(kind, clone) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        capsys.readouterr()
        calibrate_threshold(*CELL)
    assert threshold.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hourglass: not recorded in MLflow: ")
    assert line.endswith("; `hourglass record --all` completes the record.")
    assert word in line


def test_record_completes_what_a_stage_could_not_record(clone, monkeypatch, refusal, first):
    with working_in(clone, DirectRecorder):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
        calibrate_threshold(*CELL)
        assert "nothing is lost" in refusal(record, all=True)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        record(all=True)
    (row,) = rows(clone)
    assert (row.params, row.models != ()) == (first.params, True)


def test_the_death_of_the_recording_process_is_reported(stage_folder, capfd):
    with recording("compare") as process:
        process._child.kill()
        process._child.wait()
        process.follow_training()
    assert "the recording process ended with status -9; `hourglass" in capfd.readouterr().err


# Whole commands.


@pytest.fixture(scope="module")
def prepared(new_project) -> Project:
    """Give a copy of the repository in which a data set is prepared."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.hourglass("prepare", "digits")
    return project


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory) -> Project:
    """Give another in which a cell is trained and calibrated besides."""
    folder = tmp_path_factory.mktemp("trained") / "hourglass"
    project = Project(Path(shutil.copytree(prepared.folder, folder)))
    project.hourglass("train", *CELL)
    project.hourglass("calibrate-threshold", *CELL)
    return project


@pytest.fixture
def copy(request, command, tmp_path) -> Project:
    """Give a copy of the repository in which everything before `command` is done."""
    done: Project = request.getfixturevalue("prepared" if command == "train" else "trained")
    return Project(Path(shutil.copytree(done.folder, tmp_path / "hourglass")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "silent"),
    [("train", False), ("calibrate-threshold", False), ("evaluate", False), ("train", True)],
)
def test_a_server_that_does_not_answer_costs_a_stage_some_seconds(copy, command, silent):
    begun = time.monotonic()
    with listening(accept=True) as uri:
        uri = uri if silent else closed_port()
        done = copy.hourglass(command, *CELL, MLFLOW_TRACKING_URI=uri)
    (line,) = done.stderr.splitlines()
    assert line.startswith("hourglass: not recorded in MLflow: ")
    assert uri in line
    assert (copy / f"{FOLDER}/{WRITTEN[command]}").exists()
    assert time.monotonic() - begun < 60


@pytest.mark.slow
def test_trainings_may_begin_at_once_with_an_empty_store(project):
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.hourglass("prepare", "digits")
    models = ("denoising", "linear", "undercomplete")
    started = [project.start("python", "src/hourglass", "train", "digits", m) for m in models]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 3
    found = sorted((row.name, row.status) for row in rows(project.folder))
    assert found == [(f"digits-{model}", "FINISHED") for model in models]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["calibrate-threshold"])
def test_a_locked_database_is_waited_for(copy, command):
    """Another stage, or the UI, may be writing."""
    with closing(sqlite3.connect(copy / "mlflow.db", isolation_level=None)) as database:
        process = copy.start("python", "src/hourglass", command, *CELL)
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(15)
        database.execute("COMMIT")
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["calibrate-threshold"])
def test_the_environment_names_another_store_and_experiment(copy, command, tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    before = (copy / "mlflow.db").read_bytes()
    variables = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": "mine"}
    copy.hourglass(command, *CELL, **variables)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("mine")
    assert experiment
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert (copy / "mlflow.db").read_bytes() == before
