"""The side of a command: have it run by a fork of the warm process, where there is one.

Imports nothing but a few modules of the standard library: this is what a stage pays.
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

SWITCH = "HOURGLASS_WARM"  # "off", or in a fork where its siblings are to be had
STARTED_BY = ("train", "calibrate-threshold", "evaluate", "study")  # too long to wait for cold
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def hand_over(job: dict[str, Any]) -> None:
    """Run this command in a fork of the warm process and exit as it does; return if there is none.

    `job` says what to run, `{"path": ...}` or `{"module": ...}`. There is one only within a `dvc
    repro` on Linux, unless HOURGLASS_WARM is "off". Ranks of a distributed training start cold.
    """
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ or "LOCAL_RANK" in os.environ:
        return
    place = os.environ.get(SWITCH) or _place()
    if place in ("off", ""):
        return
    connection = _connect(Path(place))
    if connection:
        with connection:
            _follow(connection, job)
    elif len(sys.argv) > 1 and sys.argv[1] in STARTED_BY:
        _start(Path(place))


def _place() -> str:
    """Return the folder of this `dvc repro`: its process is the first above without DVC_STAGE."""
    try:
        pid = os.getppid()
        while b"\0DVC_STAGE=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
            pid = int(_status(pid)[1])
        return f"{tempfile.gettempdir()}/hourglass-{os.getuid()}-{pid}-{_status(pid)[19]}"
    except OSError:  # a parent that ended, or is somebody else's
        return ""


def _status(pid: int) -> list[str]:
    """Return the fields of a process from its state on: its parent is [1], its start [19]."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _start(place: Path) -> None:
    """Start the warm process, unless somebody did; this command does not wait for it."""
    try:
        place.mkdir(mode=0o700)
        log = (place / "log").open("w")
    except OSError:  # somebody was faster, or there is no room: commands run by themselves
        return
    owner = place.name.split("-")[2]
    subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("server.py"), place, owner],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for the stages, which pass it on
    )


def _connect(place: Path) -> socket.socket | None:
    """Return a connection to the warm process of this user, None where it is not ready."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        _need_private(place)
        connection.connect(str(place / "socket"))
    except OSError:  # none there, not ready, or not ours: the command runs by itself
        connection.close()
        return None
    return connection


def _need_private(place: Path) -> None:
    """Raise a PermissionError for a folder that others own or may enter, or a link to one.

    Everybody may make one of this name in the folder of temporary files, and who answers there is
    told our environment and runs what we were asked for.
    """
    found = place.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    if not (private and found.st_uid == os.getuid()):
        raise PermissionError


def _follow(connection: socket.socket, job: dict[str, Any]) -> None:
    """Have the job run with our standard streams and pass signals on; exit with its status.

    Returns where the warm process refuses, because it was started with another environment.
    """
    job |= {"argv": sys.argv, "cwd": str(Path.cwd()), "environment": dict(os.environ)}
    message = json.dumps(job | {"path_of_modules": sys.path}).encode() + b"\n"
    socket.send_fds(connection, [message[:1]], [0, 1, 2])
    connection.sendall(message[1:])
    answers = connection.makefile("r")
    pid = int(answers.readline() or 0)
    if not pid:
        return
    for number in FORWARDED:
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    answer = answers.readline()
    if not answer:
        sys.exit("hourglass: the process of warm starts died; run again, with HOURGLASS_WARM=off.")
    status = int(answer)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)
