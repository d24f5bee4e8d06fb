"""A copy of the repository to break: its commands, logs and processes."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import psutil

from tests.workspaces import copy_repository, environment, processes_in

HOURGLASS = (sys.executable, "src/hourglass")
REPRO = (*HOURGLASS, "repro")
# Settings of each grid that replace those of the repository, by file.
GRIDS: dict[str, dict[str, dict[str, Any]]] = {"default": {}}
GRIDS["small"] = {"params.yaml": {"data": ["digits"], "models": ["linear", "denoising"]}}
GRIDS["tiny"] = {  # every stage, with little work
    "params.yaml": {**GRIDS["small"]["params.yaml"], "study": {"digits": False}},
    "configs/data/digits.yaml": {"training": {"batch_size": 32, "max_epochs": 8, "patience": 8}},
}
TIMEOUT_SECONDS = 3600  # after which a pipeline counts as hanging
_log_numbers = count()


@dataclass(frozen=True)
class Command:
    """A running command and its log file."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> tuple[int, str]:
        """Return exit status and output; raise subprocess.TimeoutExpired if the command hangs."""
        status = self.process.wait(TIMEOUT_SECONDS)
        return status, self.log.read_text(encoding="utf-8", errors="replace")

    def lives_after(self, seconds: float) -> bool:
        """Wait for the end for at most `seconds`; return whether the command still runs."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is None


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository. Every process that works in its folder belongs to it."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # for all commands

    @classmethod
    def new(cls, folder: Path, grid: str) -> "Checkout":
        """Copy the repository's tracked and trackable files into a repository with one commit."""
        project = copy_repository(folder)
        for path, settings in GRIDS[grid].items():
            for key, value in settings.items():
                project.set(path, key, value=value)
            (folder / "dvc.lock").unlink(missing_ok=True)  # it names the cells of another grid
        project.commit()
        return cls(folder)

    def copy(self, name: str, **variables: str) -> "Checkout":
        """Copy this checkout, its outputs included, to a sibling folder, which is replaced."""
        folder = self.folder.with_name(name)
        for old in (folder, Path(f"{folder}.site")):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout(folder, variables)

    def environment(self) -> dict[str, str]:
        """Return the variables of a command: none of the user's settings, one thread."""
        return environment(DVC_SITE_CACHE_DIR=f"{self.folder}.site", **self.variables)

    def start(self, *command: str) -> Command:
        """Start a command in a session of its own."""
        log = self.folder.with_name(f"{self.folder.name}-{next(_log_numbers)}.log")
        with log.open("w") as stream:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Command(process, log)

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; return its exit status and output."""
        return self.start(*command).wait()

    def current_stage(self) -> str:
        """Return the stage that runs now, or "DVC itself" between two stages."""
        for process in processes_in(self.folder):
            with suppress(psutil.Error):
                words = dict(pairwise(process.cmdline()))
                if words.get("src/hourglass", "repro") != "repro":
                    return words["src/hourglass"]
        return "DVC itself"

    def cut_power(self) -> None:
        """Kill all processes at one moment, as a power cut does: none sees another's end."""
        while alive := processes_in(self.folder):
            for stop in (psutil.Process.suspend, psutil.Process.kill):
                for process in alive:
                    with suppress(psutil.NoSuchProcess):
                        stop(process)
            psutil.wait_procs(alive, timeout=60)


def message(output: str) -> str:
    """Return the last sentence of Hourglass, or else of DVC, that says why a command stopped."""
    lines = output.splitlines()
    for prefix in ("hourglass: ", "ERROR: "):
        messages = [line for line in lines if line.startswith(prefix)]
        if messages:
            return messages[-1]
    return ""
