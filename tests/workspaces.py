"""Working folders for whole stages: copies of the repository, and doubles of the recorder."""

import inspect
import json
import os
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
from common import copy_repository as copy_files

from hourglass.data.prepared import Prepared, write_data_card
from hourglass.tracking.recorder import Recorder
from hourglass.tracking.runs import Record

ROOT = Path(__file__).parents[1]
EVERY = sorted(path.stem for path in (ROOT / "configs/model").glob("*.yaml"))
BOLTS = [name for name in EVERY if name.startswith("bolts_")]  # images only, and slow
VARIANTS = [name for name in EVERY if name not in BOLTS]
BUNDLED = ("digits", "breast_cancer")
RECORDER_USERS = ("hourglass.stages.output", "hourglass.stages.compare")
PATIENT = 600  # seconds after which a process hangs, on however busy a machine


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a stage's process: none of the user's, one thread a process.

    On a busy machine two threads that wait for each other are slower than one, by far.
    """
    ours = ("HOURGLASS_DATA", "HOURGLASS_OPTUNA_STORAGE", "DVC_ROOT", "PYTHONPATH", "RANK")
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ours and not key.startswith(("MLFLOW_", "GIT_", "SLURM_"))
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes of a server, for nothing
        "NO_PROXY": "*",
        "no_proxy": "*",
        **more,
    }


def set_yaml(file: Path, *keys: str, value: Any) -> None:
    """Set a value, by its keys, in a YAML file, which is made where it is missing."""
    top = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    inner = top
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = value
    file.write_text(yaml.safe_dump(top, sort_keys=False), encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class Project:
    """Run commands in a copy of the repository."""

    folder: Path

    def __truediv__(self, path: str) -> Path:
        """Return a path below the copy."""
        return self.folder / path

    def set(self, path: str, *keys: str, value: Any) -> None:
        """Set a value, by its keys, in one of the copy's YAML files."""
        set_yaml(self.folder / path, *keys, value=value)

    def run(
        self, *command: str, status: int | None = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `status` is the exit status it must have, None for any.

        It gets a session of its own, which is killed where it hangs.
        """
        process = self.start(*command, **variables)
        try:
            output, errors = process.communicate(timeout=PATIENT)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        assert status is None or process.returncode == status, f"{command}\n{output}\n{errors}"
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command in a session, and so a process group, of its own."""
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
        """Run a verb as dvc.yaml does."""
        return self.run(sys.executable, "src/hourglass", *words, status=status, **variables)

    def git(self, *words: str) -> str:
        """Run git, as somebody."""
        who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
        return self.run("git", *who, *words).stdout

    def commit(self) -> str:
        """Make the copy a repository of its own, or add a commit to it; return the commit."""
        if not (self.folder / ".git").exists():
            self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A test's state")
        return self.git("rev-parse", "HEAD").strip()

    def read(self, path: str) -> Any:
        """Return the content of a JSON file."""
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def files(self, folder: str) -> list[str]:
        """Return the files below a folder, also where there is none."""
        found = (self.folder / folder).rglob("*")
        return sorted(str(path.relative_to(self.folder)) for path in found if path.is_file())


def copy_repository(folder: Path) -> Project:
    """Copy what git tracks or would track, as a project."""
    copy_files(folder)
    return Project(folder)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started, as `kill -9` does, and wait for their end."""
    started = psutil.Process(process.pid).children(recursive=True)  # torchrun's have own groups
    os.killpg(process.pid, signal.SIGKILL)
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.communicate()
    psutil.wait_procs(started, timeout=60)


def living_in(folder: Path) -> list[psutil.Process]:
    """Return the live processes whose working folder is `folder` or below it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(
                folder
            ):
                found.append(process)
    return found


def wait_for_end(folder: Path) -> None:
    """Wait until no process works in a folder any more."""
    _, alive = psutil.wait_procs(living_in(folder), timeout=PATIENT)
    assert not alive


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that a process started."""
    found: list[psutil.Process] = psutil.Process(process.pid).children()
    return found


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a condition while a process lives; fail where it ends first."""
    end = time.monotonic() + PATIENT
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"it ended first: {process.communicate()}")
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class FakeRecorder(Recorder):
    """Keep in memory what the stages tell; check that the real one would understand it."""

    def __init__(self) -> None:
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.statuses: list[str] = []

    def __call__(self) -> "FakeRecorder":
        """Stand in for the class as well: one record over all stages."""
        return self

    def tell(self, method: str, **arguments: Any) -> None:
        """Note a call."""
        inspect.signature(getattr(Record, method)).bind(None, **arguments)
        self.log.append((method, json.loads(json.dumps(arguments, allow_nan=False))))

    def ask(self, method: str, **arguments: Any) -> str:
        """Note a call and answer as a run would be named."""
        self.tell(method, **arguments)
        return "0123456789abcdef"

    def told(self, method: str) -> list[dict[str, Any]]:
        """Return the arguments of all calls of a method."""
        return [arguments for name, arguments in self.log if name == method]

    def part(self, stage: str) -> dict[str, Any]:
        """Return what was last told of what a stage records of a cell."""
        told = [each for call in self.told("complete") for each in call["parts"]]
        return [each for each in told if each["stage"] == stage][-1]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.statuses.append("FAILED" if kind else "FINISHED")


class DirectRecorder(Recorder):
    """Call the real record in this process: MLflow is imported once, not once a stage."""

    def __init__(self) -> None:
        self.record = Record(Path.cwd())

    def tell(self, method: str, **arguments: Any) -> None:
        """Call a method."""
        getattr(self.record, method)(**json.loads(json.dumps(arguments)))

    def ask(self, method: str, **arguments: Any) -> Any:
        """Call a method and return its result."""
        return getattr(self.record, method)(**json.loads(json.dumps(arguments)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.record.finish("FAILED" if kind else "FINISHED")


@contextmanager
def working_in(folder: Path, recorder: Callable[[], Any] | None = None) -> Iterator[None]:
    """Run stages of this process in a folder, with a double of the recorder where one is given."""
    import pytest
    import torch

    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOURGLASS_DATA", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        for module in RECORDER_USERS if recorder else ():
            patch.setattr(f"{module}.Recorder", recorder)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def set_up(folder: Path, epochs: int = 2) -> Path:
    """Make a working folder for stages of this process: the settings, with few epochs."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "params.yaml", folder)
    for path in (folder / "configs/data").glob("*.yaml"):
        set_yaml(path, "training", "max_epochs", value=epochs)
    set_yaml(folder / "configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=epochs)
    return folder


def reseal(prepared: Path) -> None:
    """Have a prepared data set's card speak for its arrays as they are now."""
    write_data_card(prepared, Prepared.open(prepared).card)


def calibrated(*cells: tuple[str, str]) -> None:
    """Take cells of the working folder, each a data set and a variant, up to their thresholds."""
    from hourglass.stages.calibrate_threshold import calibrate_threshold
    from hourglass.stages.prepare import prepare
    from hourglass.stages.train import train

    for data, model in cells:
        prepare(data)
        train(data, model)
        calibrate_threshold(data, model)


LEAN = """
import builtins, sys
real = builtins.__import__
heavy = sys.argv.pop(1).split(",")
def guarded(name, *args, **kwargs):
    if any(f"{name}.".startswith(f"{each}.") for each in heavy):
        raise ImportError(name)
    return real(name, *args, **kwargs)
builtins.__import__ = guarded
sys.path.insert(0, sys.argv.pop(1))
sys.argv[0] = "hourglass"
from hourglass.cli.main import main
from hourglass.tracking.recorder import Recorder
Recorder.__init__ = Recorder.__exit__ = Recorder.tell = Recorder.ask = lambda *_, **__: None
main()
"""
HEAVY = ("pytorch_lightning", "lightning_fabric", "torchvision", "mlflow", "dvc", "optuna")


def lean(folder: Path, *words: str, without: tuple[str, ...] = ()) -> str:
    """Run a verb in a folder where Lightning, torchvision, DVC and Optuna cannot be imported.

    Nor can MLflow, to which it records nothing, nor the modules that it is to be `without`. Returns
    what it printed.
    """
    forbidden = ",".join((*HEAVY, *without))
    done = subprocess.run(
        [sys.executable, "-c", LEAN, forbidden, str(ROOT / "src"), *words],
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
