"""The record on a real MLflow server that is down before, during or between stages."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stores import Row, differences, rows

from tests.stages.test_interrupt import EPOCHS, epochs_kept, set_up
from tests.tracking.stored import TRAINING_CURVES
from tests.workspaces import TIMEOUT_SECONDS, Project, environment, wait_until

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CELL = ("digits", "denoising")


@dataclass
class Server:
    """Run an MLflow server on a port of its own, which it keeps when it is started again."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "server.log"
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
            *("--artifacts-destination", str(self.folder / "artifacts")),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment(), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + TIMEOUT_SECONDS
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.2)

    def answers(self) -> bool:
        """Return whether the server is there."""
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End the server at once, as a crash does, with the processes that it started."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    """Give a server that is not started yet."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def trainable(new_project) -> Project:
    """Give a workspace in which a training of some seconds can begin."""
    project = set_up(new_project())
    training = {"batch_size": 8, "max_epochs": EPOCHS, "patience": EPOCHS}
    project.set("configs/data/digits.yaml", "training", value=training)
    return project


@pytest.fixture
def project(trainable, tmp_path) -> Project:
    """Give a copy of it."""
    return Project(Path(shutil.copytree(trainable.folder, tmp_path / "hourglass")))


def run(project: Project, command: str, server: Server) -> str:
    """Run a command on the cell, which must succeed; return what it prints on standard error."""
    words = ("--all",) if command == "record" else CELL
    return project.hourglass(command, *words, MLFLOW_TRACKING_URI=server.uri).stderr


def train_and_kill(project: Project, server: Server) -> subprocess.Popen[str]:
    """Begin a training, and kill the server during it."""
    command = ("python", "src/hourglass", "train", *CELL)
    process = project.start(*command, MLFLOW_TRACKING_URI=server.uri)
    wait_until(lambda: epochs_kept(project) >= 3, process)
    server.kill()
    return process


def the_row(server: Server) -> Row:
    """Return the one row of the store."""
    ((row,),) = rows(server.uri).values()
    return row


def assert_whole(row: Row) -> None:
    """Check that a row has each epoch of each curve once, and has ended."""
    assert row.status == "FINISHED"
    for name in TRAINING_CURVES:
        assert [step for step, _ in row.curves[name]] == list(range(EPOCHS)), name
    assert {"settings.yaml", "history.csv", "network.json"} <= row.files


def test_a_training_without_a_server_is_recorded_by_the_next_stage(project, server):
    assert "does not answer" in run(project, "train", server)
    server.start()
    assert run(project, "calibrate-threshold", server) == ""
    assert run(project, "evaluate", server) == ""
    row = the_row(server)
    assert_whole(row)
    assert row.models == 1
    evaluated = project.read("runs/digits/denoising/evaluate/metrics.json")
    assert row.metrics["test/AUROC"] == pytest.approx(evaluated["AUROC"], rel=1e-4)


def test_a_server_that_restarts_during_a_training_gets_all_epochs(project, server):
    server.start()
    process = train_and_kill(project, server)
    at = epochs_kept(project)
    wait_until(lambda: epochs_kept(project) > at, process)  # it goes on
    process.send_signal(signal.SIGSTOP)  # a server takes longer to start than this training
    server.start()
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, errors) == (0, "")
    row = the_row(server)
    assert_whole(row)
    assert row.id == (project / "runs/digits/denoising/tracking/run_id").read_text().strip()


def test_record_completes_the_run_after_a_server_stays_down(project, server):
    server.start()
    process = train_and_kill(project, server)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert "hourglass record --all" in errors
    for command in ("calibrate-threshold", "evaluate"):
        assert "does not answer" in run(project, command, server)
    server.start()
    assert the_row(server).status == "RUNNING"
    run(project, "record", server)
    first = the_row(server)
    assert_whole(first)
    assert "test/AUROC" in first.metrics
    assert first.id == (project / "runs/digits/denoising/tracking/run_id").read_text().strip()
    run(project, "record", server)
    assert differences({"": [first]}, {"": [the_row(server)]}) == []


def test_record_restores_all_runs_of_a_grid_on_an_empty_server(new_project, server):
    project: Project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear", "stacked"])
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=3)
    project.commit()
    project.run("dvc", "repro")
    ours = rows(f"sqlite:///{project.folder}/mlflow.db")
    assert set(ours) == {"digits/linear", "digits/stacked", "report digits x linear, stacked"}
    server.start()
    for done in ("recorded", "already there"):
        said = project.hourglass("record", "--all", MLFLOW_TRACKING_URI=server.uri).stdout
        assert said.splitlines() == [
            f"{name}: {done}" for name in ("digits-linear", "digits-stacked", "report")
        ]
        found = differences(ours, rows(server.uri))
        assert not found
