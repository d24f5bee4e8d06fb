"""Working folders for stages, copies of the repository, and test doubles of `recording`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import yaml

from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared, write_data_card
from hourglass.tracking.recording import FAILED, FINISHED
from hourglass.tracking.stage_recorder import StageRecorder
from hourglass.tracking.stage_records import StageRecord, read_cell

ROOT = Path(__file__).parents[1]
SERIES_ONLY = {"recurrent", "temporal"}  # variants that refuse images and tables
LARGE_IMAGES_ONLY = {"feature"}  # variants that take images of 32 pixels and more only
EVERY_VARIANT = sorted(path.stem for path in (ROOT / "configs/model").glob("*.yaml"))
ALL_VARIANTS = [name for name in EVERY_VARIANT if name not in SERIES_ONLY | LARGE_IMAGES_ONLY]
BOLTS = [name for name in ALL_VARIANTS if name.startswith("bolts_")]  # images only, and slow
VARIANTS = [name for name in ALL_VARIANTS if name not in BOLTS]
BUNDLED = ("digits", "breast_cancer")
# The modules that use `recording`.
RECORDING = ("hourglass.stages.output", "hourglass.stages.compare", "hourglass.cli.classify")
TIMEOUT_SECONDS = 600  # a process that runs longer counts as hanging
# A line with the time so far, and the hint of a training that ended too early.
PROGRESS = re.compile(r", (\d+:)?\d\d:\d\d(,|$)|: the validation error still fell ")


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a stage, without settings of the user, and with one thread.

    On a busy machine two threads wait for each other and are much slower than one.
    """
    prefixes = ("HOURGLASS_", "MLFLOW_", "DVC_", "GIT_", "SLURM_", "PYTHONPATH", "RANK")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight unused processes per server
        "NO_PROXY": "*",
        "no_proxy": "*",
        **more,
    }


def set_yaml(file: Path, *keys: str, value: Any) -> None:
    """Set the value at a path of keys in a YAML file; create the file if it is missing."""
    top = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    inner = top
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = value
    file.write_text(yaml.safe_dump(top, sort_keys=False), encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class Project:
    """A copy of the repository, in which commands run."""

    folder: Path

    def __truediv__(self, path: str) -> Path:
        """Return a path below the copy."""
        return self.folder / path

    def set(self, path: str, *keys: str, value: Any) -> None:
        """Set the value at a path of keys in a YAML file of the copy."""
        set_yaml(self.folder / path, *keys, value=value)

    def run(
        self, *command: str, status: int | None = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `status` is the expected exit status, None for any.

        A command that hangs is killed with its session.
        """
        process = self.start(*command, **variables)
        try:
            output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        assert status is None or process.returncode == status, f"{command}\n{output}\n{errors}"
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command in a new session, and thus in a new process group."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(DVC_SITE_CACHE_DIR=f"{self.folder}.cache", **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def hourglass(
        self, *words: str, status: int | None = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of Hourglass as dvc.yaml does."""
        return self.run(sys.executable, "src/hourglass", *words, status=status, **variables)

    def git(self, *words: str) -> str:
        """Run git with a test author; return its output."""
        author = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
        return self.run("git", *author, *words).stdout

    def commit(self) -> str:
        """Commit all files, in a new repository if there is none; return the commit."""
        if not (self.folder / ".git").exists():
            self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A test's state")
        return self.git("rev-parse", "HEAD").strip()

    def read(self, path: str) -> Any:
        """Return the content of a JSON file."""
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def files(self, folder: str) -> list[str]:
        """Return the files below a folder; [] if it does not exist."""
        found = (self.folder / folder).rglob("*")
        return sorted(str(path.relative_to(self.folder)) for path in found if path.is_file())


def copy_repository(folder: Path) -> Project:
    """Copy all files that git does not ignore; return the copy as a project."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return Project(folder)


def without_progress(errors: str) -> list[str]:
    """Return the lines on standard error without progress and hints, which depend on the load."""
    return [line for line in errors.splitlines() if not PROGRESS.search(line)]


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and its descendants with SIGKILL, and wait until all have ended."""
    # The workers of torchrun have process groups of their own.
    descendants = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in descendants:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.communicate()
    psutil.wait_procs(descendants, timeout=60)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the running processes whose working folder is `folder` or below it."""
    alive = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_below = Path(process.cwd()).is_relative_to(folder)
            if is_below and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def wait_for_end(folder: Path) -> None:
    """Wait until no process has `folder`, or a folder below it, as its working folder."""
    while processes := processes_in(folder):  # processes may have started others
        _, alive = psutil.wait_procs(processes, timeout=TIMEOUT_SECONDS)
        assert not alive


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the child processes of a process."""
    processes: list[psutil.Process] = psutil.Process(process.pid).children()
    return processes


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a condition; fail if the process ends first."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"the process ended first: {process.communicate()}")
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)


class FakeRecorder:
    """A test double of `recording` without MLflow that keeps the records in memory."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.records: list[StageRecord] = []
        self.trainings = 0  # number of calls of `follow_training`

    @contextmanager
    def __call__(self, stage: str, cell: Cell | None = None) -> Iterator["FakeRecorder"]:
        """Replace `recording`."""
        try:
            yield self
        except BaseException:
            self.statuses.append(FAILED)
            raise
        self.statuses.append(FINISHED)
        if cell:
            self.records += read_cell(cell, classified=stage == "classify").stages

    def follow_training(self) -> None:
        """Count a training."""
        self.trainings += 1

    def record(self, stage: str) -> StageRecord:
        """Return the last record of a stage."""
        return [record for record in self.records if record.stage == stage][-1]


class DirectRecorder(StageRecorder):
    """A test double of `recording` that records in this process, so MLflow is imported once."""

    def follow_training(self) -> None:
        """Record epochs as the child process does."""
        self.follows = True
        self.poll()

    def __enter__(self) -> "DirectRecorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(FAILED if kind else FINISHED)


@contextmanager
def working_in(folder: Path, recorder: Callable[..., Any] | None = None) -> Iterator[None]:
    """Make a folder the working folder of this process; replace `recording` if given a double."""
    import pytest
    import torch

    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOURGLASS_DATA", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        for module in RECORDING if recorder else ():
            patch.setattr(f"{module}.recording", recorder)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def set_up(folder: Path, epochs: int = 2) -> Path:
    """Create a working folder for stages that run in this process, with settings of few epochs."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "params.yaml", folder)
    for path in (folder / "configs/data").glob("*.yaml"):
        set_yaml(path, "training", "max_epochs", value=epochs)
    set_yaml(folder / "configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=epochs)
    return folder


def update_card(prepared: Path) -> None:
    """Rewrite the data card of a prepared data set with the checksums of its current arrays."""
    write_data_card(prepared, Prepared.open(prepared).card)


def calibrated(*cells: tuple[str, str]) -> None:
    """Prepare, train and calibrate cells, given as (data set, variant), in the working folder."""
    from hourglass.stages.calibrate_threshold import calibrate_threshold
    from hourglass.stages.prepare import prepare
    from hourglass.stages.train import train

    for data, model in cells:
        prepare(data)
        train(data, model)
        calibrate_threshold(data, model)


BLOCK_IMPORTS = """
import builtins, sys
real = builtins.__import__
blocked = sys.argv.pop(1).split(",")
def guarded(name, *args, **kwargs):
    if any(f"{name}.".startswith(f"{each}.") for each in blocked):
        raise ImportError(name)
    return real(name, *args, **kwargs)
builtins.__import__ = guarded
sys.path.insert(0, sys.argv.pop(1))
sys.argv[0] = "hourglass"
from hourglass.cli.main import main
from hourglass.tracking.recording import RecordingProcess
for name in ("__init__", "follow_training", "__exit__"):
    setattr(RecordingProcess, name, lambda *_: None)
main()
"""
HEAVY = ("pytorch_lightning", "lightning_fabric", "torchvision", "mlflow", "dvc", "optuna")


def lean(folder: Path, *words: str, without: tuple[str, ...] = ()) -> str:
    """Run a command in a process that cannot import HEAVY and `without`; return its output.

    The command records nothing in MLflow.
    """
    forbidden = ",".join((*HEAVY, *without))
    done = subprocess.run(
        [sys.executable, "-c", BLOCK_IMPORTS, forbidden, str(ROOT / "src"), *words],
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
