"""Processes that outlive the command which starts them, and are found again by a file."""

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

from hourglass.core.errors import UserError

PATIENCE = 120  # seconds within which a server starts or ends, on a busy machine too


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> dict[str, Any]:
    """Return the arguments of `subprocess` for servers that refuse to be run by root.

    Root has them run by the user `postgres`, or `nobody` where there is none; others run them
    themselves.
    """
    if os.geteuid():
        return {}
    names = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def start(command: Sequence[str], noted: Path, log: Path, variables: Mapping[str, str]) -> None:
    """Start a server in a session of its own, add what it says to a log, and note its process."""
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
    noted.write_text(f"{process.pid} {created}\n", encoding="utf-8")


def find(noted: Path) -> psutil.Process | None:
    """Return the process that `start` noted, or None where it is gone.

    A process id comes back after a while: the time at which it was created tells another one.
    """
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        pid, created = noted.read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        gone = process.status() == psutil.STATUS_ZOMBIE
        return None if gone or process.create_time() != float(created) else process
    return None


def stop(noted: Path) -> bool:
    """End the noted process and what it started; return whether it ran."""
    process = find(noted)
    if process:
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(alive, timeout=PATIENCE)
    noted.unlink(missing_ok=True)
    return process is not None


def wait_for(ready: Callable[[], bool], noted: Path, log: Path) -> None:
    """Wait until a server that was started is ready.

    Raises a UserError that names its log where it ends first, or never is.
    """
    end = time.monotonic() + PATIENCE
    while not ready():
        if not find(noted) or time.monotonic() > end:
            stop(noted)
            raise UserError(f"the server did not start; {log} says why.")
        time.sleep(0.2)
