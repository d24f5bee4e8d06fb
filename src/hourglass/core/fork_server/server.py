"""The warm process: what stages import is imported here once, then every command is a fork.

Run as a script, it imports nothing of Hourglass: its forks do, each what lies in src by then. Only
what MLflow wants to be told before its import is read from there, and what is to be swept.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any

# What the stages of the pipeline import, and takes its time.
IMPORTED = (
    "jsonargparse",
    "torch",
    "pytorch_lightning",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "sklearn.metrics",
    "scipy.stats",
    "pandas",
    "pyarrow.parquet",
    "safetensors.torch",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "skimage.metrics",
    "skimage.restoration",
    "pywt",
    "omegaconf",
    "jinja2",
    "tabulate",
)
MLFLOW_ENV = Path(__file__).parents[2] / "tracking" / "mlflow_env.py"
STALE_FOLDERS = Path(__file__).with_name("stale_folders.py")
# What may differ between a command's environment and ours: nothing that a library reads on import.
FREE = {"DVC_STAGE", "HOURGLASS_WARM", "PYTHONPATH", "PWD", "OLDPWD", "SHLVL", "_"}
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve commands until the `dvc repro` that they belong to has ended.

    Takes the folder for the socket, the owner's process id, and, if not IMPORTED, what to import.
    """
    place, owner = Path(sys.argv[1]), int(sys.argv[2])
    environment = dict(os.environ)
    runpy.run_path(str(MLFLOW_ENV))["set_variables"]()
    for name in sys.argv[3:] or IMPORTED:
        importlib.import_module(name)
    if "mlflow" in sys.modules:
        _survey()
    with contextlib.suppress(OSError):  # the next one sweeps
        runpy.run_path(str(STALE_FOLDERS))["sweep"](place)
    gc.collect()
    gc.freeze()  # a collection in a fork need not copy what is here
    job = Server(place, os.pidfd_open(owner), environment).serve()
    if job:
        run(job)  # here, and not in the middle of serving: it may end as any program does
    else:
        shutil.rmtree(place, ignore_errors=True)


def _survey() -> None:
    """Have MLflow look through all installed packages, as it else does for each model it logs."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])


def run(job: dict[str, Any]) -> None:
    """Be the process that was asked for."""
    atexit.register(gc.unfreeze)  # else triton reports what a fork leaves behind
    sys.argv[:], sys.path[:] = job["argv"], job["path_of_modules"]
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    if "module" in job:
        runpy.run_module(job["module"], {"warm": True}, "__main__", alter_sys=True)
    else:
        runpy.run_path(job["path"], {"warm": True}, "__main__")


class Server:
    """Fork a process for every command that is handed over; `owner` is a pidfd of the `dvc repro`.

    One thread waits for all that can happen: a command comes, ends, or lost its client.
    `environment` is that from before the imports, which have added some to it.
    """

    def __init__(self, place: Path, owner: int, environment: dict[str, str]) -> None:
        self.place = place
        self.added = {key: os.environ[key] for key in os.environ.keys() - environment.keys()}
        self.environment = self._compared(environment)
        self.running: dict[int, tuple[int, socket.socket]] = {}  # pidfd and client, by pid
        self.job: dict[str, Any] | None = None  # in a fork
        self.events = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(place / "starting"))
        self.listener.listen()
        (place / "starting").rename(place / "socket")  # clients that see it find us ready
        self._watch(self.listener, self._accept)
        self._watch(owner, partial(self._close, owner))

    def serve(self) -> dict[str, Any] | None:
        """Return None once the owner has ended and no command runs; in a fork, its job."""
        while not self.job and (self.running or self.listener.fileno() >= 0):
            for key, _ in self.events.select():
                key.data()
        return self.job

    def _compared(self, environment: dict[str, str]) -> dict[str, str]:
        return {k: v for k, v in environment.items() if k not in FREE and k not in self.added}

    def _watch(self, what: Any, react: Any) -> None:
        self.events.register(what, selectors.EVENT_READ, react)

    def _close(self, owner: int) -> None:
        """Take no more commands."""
        self.events.unregister(owner)
        self.events.unregister(self.listener)
        self.listener.close()

    def _accept(self) -> None:
        """Fork for a command, or answer 0 to one from another environment."""
        connection, _ = self.listener.accept()
        if _user(connection) != os.getuid():  # the folder keeps others out; so does this
            connection.close()
            return
        first, streams, _, _ = socket.recv_fds(connection, 1, 3)
        job = json.loads(first + connection.makefile("rb").readline() or b"null")
        if job and self._compared(job["environment"]) == self.environment:
            self._fork(job, streams, connection)
        elif job:
            connection.sendall(b"0\n")
        for stream in streams:
            os.close(stream)

    def _fork(self, job: dict[str, Any], streams: list[int], connection: socket.socket) -> None:
        pid = os.fork()
        if pid:
            process = os.pidfd_open(pid)
            self.running[pid] = process, connection
            self._watch(process, partial(self._ended, pid))
            self._watch(connection, partial(self._left, pid))
            connection.sendall(f"{pid}\n".encode())
        else:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.chdir(job["cwd"])
            os.environ.clear()
            os.environ.update(self.added | job["environment"])
            os.environ["HOURGLASS_WARM"] = str(self.place)  # what it starts finds us as well
            self.job = job

    def _left(self, pid: int) -> None:
        """End a command whose client was killed."""
        os.kill(pid, signal.SIGKILL)
        self._ended(pid)

    def _ended(self, pid: int) -> None:
        """Tell the client how its command ended."""
        if pid not in self.running:  # both events came at once
            return
        process, connection = self.running.pop(pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for each in (process, connection):
            self.events.unregister(each)
        os.close(process)
        with connection, contextlib.suppress(BrokenPipeError):
            connection.sendall(f"{status}\n".encode())


def _user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it."""
    size = struct.calcsize("3i")  # struct ucred: process, user, group
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", found)[1])


if __name__ == "__main__":
    main()
