"""A copy of the repository to break: its processes, its logs, and how to pull its plug."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import yaml
from copies import copy_repository

HOURGLASS = (sys.executable, "src/hourglass")
REPRO = (*HOURGLASS, "repro")
# What a grid has in place of the repository's settings, by file.
GRIDS: dict[str, dict[str, dict[str, Any]]] = {"default": {}}
GRIDS["small"] = {"params.yaml": {"data": ["digits"], "models": ["linear", "denoising"]}}
GRIDS["tiny"] = {  # every stage, and little to do in it
    "params.yaml": {**GRIDS["small"]["params.yaml"], "study": {"digits": False}},
    "configs/data/digits.yaml": {"training": {"batch_size": 32, "max_epochs": 8, "patience": 8}},
}
PATIENT = 3600  # seconds after which a pipeline hangs
_numbers = count()


@dataclass(frozen=True)
class Checkout:
    """Run commands in a copy of the repository; whatever they start lives in its folder."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # of all its commands

    @classmethod
    def new(cls, folder: Path, grid: str) -> "Checkout":
        """Copy what git tracks or would track, as a repository of its own with one commit."""
        copy_repository(folder)
        for name, settings in GRIDS[grid].items():
            path = folder / name
            text = yaml.safe_load(path.read_text(encoding="utf-8")) | settings
            path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
            (folder / "dvc.lock").unlink(missing_ok=True)  # of the cells of another grid
        who = ("-c", "user.name=Chaos", "-c", "user.email=chaos@localhost")
        for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "As it was")):
            subprocess.run(["git", *words], cwd=folder, check=True)
        return cls(folder)

    def copy(self, name: str) -> "Checkout":
        """Return a copy beside this one, with all that has run in it, in place of an older one."""
        folder = self.folder.with_name(name)
        for old in (folder, Path(f"{folder}.site")):
            shutil.rmtree(old, ignore_errors=True)
        return Checkout(Path(shutil.copytree(self.folder, folder, symlinks=True)))

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables of a command: none of the user's settings of this project."""
        ours = ("HOURGLASS_", "MLFLOW_", "DVC_", "GIT_", "SLURM_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        kept.pop("PYTHONPATH", None)
        beside = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": f"{self.folder}.site",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # One thread: other numbers of threads may round otherwise.
            "OMP_NUM_THREADS": "1",
        }
        return kept | beside | dict(self.variables) | more

    def start(self, *command: str, before: Sequence[str] = (), **variables: str) -> "Command":
        """Start a command in a session of its own; `before` is what runs it, such as setpriv."""
        log = self.folder.with_name(f"{self.folder.name}-{next(_numbers)}.log")
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*before, *command],
                cwd=self.folder,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Command(process, log)

    def run(self, *command: str, before: Sequence[str] = (), **variables: str) -> tuple[int, str]:
        """Run a command to its end and return its exit status and all that it said."""
        return self.start(*command, before=before, **variables).wait()

    def processes(self) -> list[psutil.Process]:
        """Return the live processes that work in the folder, whoever their parents are.

        The process of warm starts and those that write to MLflow have sessions of their own.
        """
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                working = Path(process.cwd())
                if process.status() != psutil.STATUS_ZOMBIE and working.is_relative_to(self.folder):
                    found.append(process)
        return found

    def at_work(self) -> str:
        """Return the stage that runs now, or what DVC does between two of them."""
        for process in self.processes():
            with suppress(psutil.Error):
                words = process.cmdline()
                if "src/hourglass" in words[:-1]:
                    verb = words[words.index("src/hourglass") + 1]
                    if verb != "repro":
                        return verb
        return "DVC itself"

    def wait_for_end(self) -> None:
        """Wait until nothing runs here: the process of warm starts ends a moment after DVC."""
        end = time.monotonic() + PATIENT
        while self.processes():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.processes()} did not end")
            time.sleep(0.1)

    def cut_power(self) -> None:
        """Kill all processes at one moment, as a power cut does: none sees another's end."""
        while alive := self.processes():
            for stop in (psutil.Process.suspend, psutil.Process.kill):
                for process in alive:
                    with suppress(psutil.NoSuchProcess):
                        stop(process)
            psutil.wait_procs(alive, timeout=60)


def sentence(output: str) -> str:
    """Return the last sentence by which Hourglass, or else DVC, says why a command stopped."""
    lines = output.splitlines()
    for mark in ("hourglass: ", "ERROR: "):
        said = [line for line in lines if line.startswith(mark)]
        if said:
            return said[-1]
    return ""


@dataclass(frozen=True)
class Command:
    """A command that was started, and the file of what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, seconds: float = PATIENT) -> tuple[int, str]:
        """Return exit status and output; raises subprocess.TimeoutExpired where it takes longer."""
        status = self.process.wait(seconds)
        return status, self.log.read_text(encoding="utf-8", errors="replace")

    def lives_after(self, seconds: float) -> bool:
        """Wait for the end, so long at most; return whether it has not come."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is None
