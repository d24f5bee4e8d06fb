"""Server processes that outlive the command that starts them, identified by a file."""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError

TIMEOUT_SECONDS = 120  # for the start or end of a server on a busy machine


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> dict[str, Any]:
    """Return the arguments of `subprocess` for servers that refuse to run as root.

    Root runs them as the user `postgres`, or `nobody` if that does not exist.
    """
    if os.geteuid():
        return {}
    names = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only its owner can read at any moment."""
    with atomic_file(path) as temporary:
        temporary.touch(0o600)  # before it has content
        temporary.write_text(text, encoding="utf-8")


def start(command: Sequence[str], pid_file: Path, log: Path, variables: Mapping[str, str]) -> None:
    """Start a server in a session of its own; append its output to a log."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(variables),
            start_new_session=True,
        )
    created = psutil.Process(process.pid).create_time()
    pid_file.write_text(f"{process.pid} {created}\n", encoding="utf-8")


def find(pid_file: Path) -> psutil.Process | None:
    """Return the running process of a PID file, None if it has ended.

    Process ids are reused, so the file holds the creation time as well.
    """
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        pid, created = pid_file.read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended or process.create_time() != float(created) else process
    return None


def stop(pid_file: Path) -> bool:
    """End the process of a PID file and its children; return whether it ran."""
    process = find(pid_file)
    if process:
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(alive, timeout=TIMEOUT_SECONDS)
    pid_file.unlink(missing_ok=True)
    return process is not None


def wait_for(ready: Callable[[], bool], pid_file: Path, log: Path) -> None:
    """Wait until a server is ready.

    Raises a UserError that names its log if the server ends first or the time is up.
    """
    end = time.monotonic() + TIMEOUT_SECONDS
    while not ready():
        if not find(pid_file) or time.monotonic() > end:
            stop(pid_file)
            raise UserError(f"the server did not start; see {log} for the reason.")
        time.sleep(0.2)
