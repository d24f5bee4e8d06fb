"""The client of the fork server: runs this command in a fork, if there is a server.

Imports only the standard library, because every stage pays for these imports.
"""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# Environment variable: "off" disables the server; in a fork, it is the path of the server's folder.
SWITCH = "HOURGLASS_FORK_SERVER"
STARTED_BY = ("train", "calibrate-threshold", "evaluate", "study")  # stages with slow imports
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run_in_fork_server(job: dict[str, Any]) -> None:
    """Run this command in a fork and exit with its status; return if there is no fork server.

    `job` is the program to run: `{"path": <file>}` or `{"module": <name>}`. A server exists only
    within a `dvc repro` or `hourglass repro` on Linux, unless HOURGLASS_FORK_SERVER is "off". Ranks
    of a distributed training do not use it.
    """
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ or "LOCAL_RANK" in os.environ:
        return
    folder = os.environ.get(SWITCH) or _dvc_server_folder()
    if folder in ("off", ""):
        return
    connection = _connect(Path(folder))
    if connection:
        with connection:
            _run_in_fork(connection, job)
    elif len(sys.argv) > 1 and sys.argv[1] in STARTED_BY:
        _start(Path(folder))


def _dvc_server_folder() -> str:
    """Return the server folder of this `dvc repro`, "" if its process cannot be inspected.

    The process of `dvc repro` is the first ancestor without DVC_STAGE in its environment.
    """
    try:
        pid = os.getppid()
        while b"\0DVC_STAGE=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
            pid = int(_status(pid)[1])
        return server_folder(pid)
    except OSError:  # the parent has ended, or belongs to another user
        return ""


def server_folder(owner: int) -> str:
    """Return the folder of the fork server that ends with the process `owner`.

    It is named after the user, and the id and start time of the process.
    """
    return f"{tempfile.gettempdir()}/hourglass-{os.getuid()}-{owner}-{_status(owner)[19]}"


def _status(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the name: [1] parent id, [19] start time."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _start(folder: Path) -> None:
    """Start the fork server in the background, unless another command has started it."""
    try:
        folder.mkdir(mode=0o700)
        log = (folder / "log").open("w")
    except OSError:  # started by another command, or the disk is full: run without a server
        return
    owner = folder.name.split("-")[2]
    subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("server.py"), folder, owner],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,  # Ctrl-C must reach only the stages, which forward it
    )


def _connect(folder: Path) -> socket.socket | None:
    """Return a connection to this user's fork server, None if it is not ready.

    `folder` must be a real folder that only this user can access. Any user can create a folder of
    this name in the temporary directory, and a malicious server there would receive the command and
    the environment of this process.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        status = folder.lstat()
        private = stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077
        if private and status.st_uid == os.getuid():
            connection.connect(str(folder / "socket"))
            return connection
    except OSError:  # missing or not ready
        pass
    connection.close()
    return None


def _run_in_fork(connection: socket.socket, job: dict[str, Any]) -> None:
    """Run the job in a fork with this process's streams, forward signals, exit with its status.

    Returns if the server rejects the job because it was started with another environment.
    """
    job |= {"argv": sys.argv, "cwd": str(Path.cwd()), "environment": dict(os.environ)}
    message = json.dumps(job | {"sys_path": sys.path}).encode() + b"\n"
    socket.send_fds(connection, [message[:1]], [0, 1, 2])
    connection.sendall(message[1:])
    replies = connection.makefile("r")
    pid = int(replies.readline() or 0)
    if not pid:
        return
    for number in FORWARDED:
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    reply = replies.readline()
    if not reply:
        sys.exit(f"hourglass: the fork server died; run the command again with {SWITCH}=off.")
    status = int(reply)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)
