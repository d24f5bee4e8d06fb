"""The store: created whole, its errors classified, and no stage stopped or lost by them."""

import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from hourglass.cli.record import record
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.train import train
from hourglass.tracking import connection
from hourglass.tracking.connection import classify_error, store_errors
from hourglass.tracking.recording import FINISHED, recording
from hourglass.tracking.stage_recorder import StageRecorder
from hourglass.tracking.time_limit import StoreUnavailable, time_limit
from tests.tracking.misbehaving import BEHAVIOURS, LATE, misbehaving
from tests.tracking.stored import CELL, rows
from tests.workspaces import DirectRecorder, Project, wait_until, without_progress, working_in

FOLDER = "runs/digits/denoising"
WRITTEN = {
    "train": "train/weights.safetensors",
    "calibrate-threshold": "calibrate/threshold.json",
    "evaluate": "evaluate/metrics.json",
}
# The messages about servers that answer the health check.
LATE_WORD = "more than 0.3 s"
WORDS = {
    "401": "MLFLOW_TRACKING_PASSWORD",
    "404": "404",
    "503": "503",
    "list": "not in a valid JSON format",
    "HTML": "not in a valid JSON format",
    "redirects": "redirects",
    "reset": "Connection aborted",
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
    elif kind == "no database":
        (folder / "mlflow.db").write_bytes(b"this is no database" * 1000)
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
        ("no database", "could not record"),
        ("unknown", "carrier-pigeon"),
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


@pytest.mark.parametrize(
    ("behaviour", "healthy", "word"),
    [
        *((name, True, LATE_WORD if name in LATE else WORDS.get(name, "")) for name in BEHAVIOURS),
        ("503", False, "answers 503"),
        ("reset", False, "does not answer"),
        ("slow", False, "does not answer within"),
        ("no answer", False, "does not answer within"),
        ("endless", False, "endless answer"),
    ],
)
def test_a_server_that_misbehaves_stops_no_stage(
    clone, monkeypatch, capsys, refusal, behaviour, healthy, word
):
    monkeypatch.setenv("HOURGLASS_RECORD_SECONDS", "0.3")
    monkeypatch.setattr(connection, "SERVER_TIMEOUT_SECONDS", 0.2)

    def assert_unrecorded() -> None:
        (line,) = without_progress(capsys.readouterr().err)
        assert line.startswith("hourglass: not recorded in MLflow: ")
        assert line.endswith("; `hourglass record --all` completes the record.")
        assert word in line

    with working_in(clone, DirectRecorder), misbehaving(behaviour, healthy) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        begun = time.monotonic()
        evaluation = StageRecorder("evaluate", Cell(*CELL))  # the stage itself takes seconds
        evaluation.poll()
        evaluation.end(FINISHED)
        assert_unrecorded()
        for stage in (train, calibrate_threshold):
            stage(*CELL)
            assert_unrecorded()
        assert word in refusal(record, all=True)
        assert time.monotonic() - begun < 20
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_limit_that_is_no_time_is_named_before_the_stage(clone, monkeypatch, refusal):
    for value in ("soon", "-1", "nan", "0"):
        monkeypatch.setenv("HOURGLASS_RECORD_SECONDS", value)
        with working_in(clone):
            assert value in refusal(calibrate_threshold, *CELL)


def nested_limits() -> None:
    with time_limit(0.3, "outer"):
        with suppress(StoreUnavailable), time_limit(0.1, "inner"):
            time.sleep(10)
        with time_limit(10, "inner"):
            pass
        time.sleep(10)


def test_limits_may_be_nested():
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="outer"):
        nested_limits()
    assert 0.3 <= time.monotonic() - begun < 1


def test_without_signals_a_block_runs_without_a_limit(monkeypatch):
    def block() -> str:
        with store_errors("do this"):
            return "done"

    with ThreadPoolExecutor() as other_thread:
        assert other_thread.submit(block).result() == "done"
    for name in ("SIGALRM", "setitimer"):  # Windows has neither
        monkeypatch.delattr(signal, name)
    assert block() == "done"


def test_a_deleted_experiment_has_a_successor(clone, monkeypatch, capsys):
    from mlflow import MlflowClient

    local = f"sqlite:///{clone}/mlflow.db"
    client = MlflowClient(local)
    deleted = client.create_experiment("hourglass")
    client.delete_experiment(deleted)
    with working_in(clone, DirectRecorder):
        capsys.readouterr()
        calibrate_threshold(*CELL)
        record(all=True)
        printed = capsys.readouterr()
        assert printed.err == (
            "hourglass: MLflow's experiment 'hourglass' is deleted; new runs go to 'hourglass-2'.\n"
        )
        assert printed.out == "digits-denoising: already there\n"
        (row,) = rows(clone)
        experiment = client.get_run(row.id).info.experiment_id
        assert client.get_experiment(experiment).name == "hourglass-2"
        assert client.get_experiment(deleted).lifecycle_stage == "deleted"
        client.delete_experiment(experiment)
        record(all=True)
        assert "new runs go to 'hourglass-3'" in capsys.readouterr().err


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


@pytest.mark.parametrize("error", [None, UserError("it diverged"), KeyboardInterrupt()], ids=repr)
def test_a_recording_process_that_hangs_is_killed(stage_folder, monkeypatch, capfd, error):
    monkeypatch.setattr("hourglass.tracking.recording.GRACE_SECONDS", 0)
    interrupted = isinstance(error, KeyboardInterrupt)
    monkeypatch.setattr("hourglass.tracking.recording.INTERRUPT_SECONDS", 0.1)
    monkeypatch.setenv("HOURGLASS_RECORD_SECONDS", "60" if interrupted else "0.1")
    process = recording("compare")
    process._child.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    with suppress(UserError, KeyboardInterrupt), process:
        if error:
            raise error
    assert time.monotonic() - begun < 5
    assert process._child.poll() == -signal.SIGKILL
    assert ("took more than 0.1 s" in capfd.readouterr().err) == (not interrupted)


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
    ("command", "behaviour"),
    [("train", name) for name in (*LATE, "object", "closed")]
    + [("calibrate-threshold", "slow"), ("evaluate", "slow")],
)
def test_a_server_that_misbehaves_costs_a_stage_some_seconds(copy, command, behaviour):
    begun = time.monotonic()
    with misbehaving(behaviour) if behaviour in BEHAVIOURS else nullcontext(closed_port()) as uri:
        variables = {"MLFLOW_TRACKING_URI": uri, "HOURGLASS_RECORD_SECONDS": "10"}
        done = copy.hourglass(command, *CELL, **variables)
        refused = copy.hourglass("record", "--all", status=1, **variables)
    (line,) = without_progress(done.stderr)
    assert line.startswith("hourglass: not recorded in MLflow: ")
    assert (copy / f"{FOLDER}/{WRITTEN[command]}").exists()
    (line,) = without_progress(refused.stderr)
    assert line.startswith("hourglass: ")
    assert time.monotonic() - begun < 90


@pytest.mark.slow
@pytest.mark.parametrize(("command", "behaviour"), [("train", "slow")])
def test_a_stage_that_waits_for_a_server_can_be_interrupted(copy, command, behaviour):
    with misbehaving(behaviour, healthy=True) as uri:
        process = copy.start("python", "src/hourglass", command, *CELL, MLFLOW_TRACKING_URI=uri)
        wait_until((copy / f"{FOLDER}/{WRITTEN[command]}").exists, process)
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - begun < 30, "it waited for the server, for which it has 60 s"


@pytest.mark.slow
def test_trainings_may_begin_at_once_with_an_empty_store(project):
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.hourglass("prepare", "digits")
    models = ("denoising", "linear", "undercomplete")
    started = [project.start("python", "src/hourglass", "train", "digits", m) for m in models]
    ended = [
        (without_progress(process.communicate()[1]), process.returncode) for process in started
    ]
    assert ended == [([], 0)] * 3
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
    assert (process.returncode, without_progress(errors)) == (0, [])


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
