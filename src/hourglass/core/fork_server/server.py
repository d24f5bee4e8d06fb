"""The fork server: import the libraries of the stages once, then fork for every command.

This file runs as a script and imports nothing from Hourglass, so that each fork imports the current
code in src. It executes one file of Hourglass by path: mlflow_env.py, which sets variables for the
import of MLflow.
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
import sys
from functools import partial
from pathlib import Path
from typing import Any

# The slow imports of the stages.
PRELOADED_MODULES = (
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
SWITCH = "HOURGLASS_FORK_SERVER"
# Variables that may differ between a command and the server, as no library reads them on import.
MAY_DIFFER = {"DVC_STAGE", SWITCH, "PYTHONPATH", "PWD", "OLDPWD", "SHLVL", "_"}
PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>


def main() -> None:
    """Serve commands until their owner, a `dvc repro` or `hourglass repro`, has ended.

    Arguments: the folder for the socket, the process id of the owner, and the modules to import
    instead of PRELOADED_MODULES.
    """
    folder = Path(sys.argv[1])
    try:
        owner = os.pidfd_open(int(sys.argv[2]))
    except ProcessLookupError:  # it has ended already
        shutil.rmtree(folder, ignore_errors=True)
        return
    environment = dict(os.environ)
    runpy.run_path(str(MLFLOW_ENV))["set_variables"]()
    for name in sys.argv[3:] or PRELOADED_MODULES:
        importlib.import_module(name)
    if "mlflow" in sys.modules:
        from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

        # Lists all installed packages, which MLflow would otherwise do for each logged model.
        warn_dependency_requirement_mismatches(["mlflow"])
    gc.collect()
    gc.freeze()  # garbage collection in a fork then does not copy these pages
    job = Server(folder, owner, environment).serve()
    if job:
        run(job)  # outside Server.serve, as the command may raise any error or exit
    else:
        shutil.rmtree(folder, ignore_errors=True)


def run(job: dict[str, Any]) -> None:
    """Run a command in this process, as if Python had been started with it."""
    atexit.register(gc.unfreeze)  # otherwise triton reports leaked objects
    sys.argv[:], sys.path[:] = job["argv"], job["sys_path"]
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    if "module" in job:
        runpy.run_module(job["module"], {"in_fork": True}, "__main__", alter_sys=True)
    else:
        runpy.run_path(job["path"], {"in_fork": True}, "__main__")


class Server:
    """Fork a process for every command; `owner` is the pidfd of a `dvc repro` or `hourglass repro`.

    One thread waits for all events: a command arrives, ends, or loses its client. `environment` is
    that of the server before its imports, some of which set variables.
    """

    def __init__(self, folder: Path, owner: int, environment: dict[str, str]) -> None:
        self.folder = folder
        added = os.environ.keys() - environment.keys()
        self.set_by_imports = {key: os.environ[key] for key in added}
        self.environment = self._relevant_variables(environment)
        self.running: dict[int, tuple[int, socket.socket]] = {}  # pidfd and client, by pid
        self.job: dict[str, Any] | None = None  # set in a fork
        self.events = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "starting"))
        self.listener.listen()
        (folder / "starting").rename(folder / "socket")  # so a visible socket already listens
        self._watch(self.listener, self._accept)
        self._watch(owner, partial(self._stop_listening, owner))

    def serve(self) -> dict[str, Any] | None:
        """Return None after the owner and all commands have ended; in a fork, return its job."""
        while self.running or self.listener.fileno() >= 0:
            for key, _ in self.events.select():
                key.data()
                if self.job:  # a fork must leave the other events to the server
                    return self.job
        return None

    def _relevant_variables(self, environment: dict[str, str]) -> dict[str, str]:
        ignored = MAY_DIFFER | self.set_by_imports.keys()
        return {key: value for key, value in environment.items() if key not in ignored}

    def _watch(self, file: Any, callback: Any) -> None:
        self.events.register(file, selectors.EVENT_READ, callback)

    def _stop_listening(self, owner: int) -> None:
        """Stop accepting commands."""
        self.events.unregister(owner)
        self.events.unregister(self.listener)
        self.listener.close()

    def _accept(self) -> None:
        """Fork for a command; reply 0 instead of a process id if its environment differs."""
        connection, _ = self.listener.accept()
        first, streams, _, _ = socket.recv_fds(connection, 1, 3)
        message = first + connection.makefile("rb").readline()
        if message.endswith(b"\n"):  # else the client was killed
            job = json.loads(message)
            if self._relevant_variables(job["environment"]) == self.environment:
                self._fork(job, streams, connection)
            else:
                reply(connection, 0)
        for stream in streams:
            os.close(stream)

    def _fork(self, job: dict[str, Any], streams: list[int], connection: socket.socket) -> None:
        pid = os.fork()
        if pid:  # in the server
            process = os.pidfd_open(pid)
            self.running[pid] = process, connection
            self._watch(process, partial(self._report_exit, pid))
            self._watch(connection, partial(self._kill_command, pid))
            reply(connection, pid)
        else:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.chdir(job["cwd"])
            os.environ.clear()
            os.environ.update(self.set_by_imports | job["environment"])
            os.environ[SWITCH] = str(self.folder)  # its child processes use this server as well
            self.job = job

    def _kill_command(self, pid: int) -> None:
        """Kill a command whose client was killed."""
        os.kill(pid, signal.SIGKILL)
        self._report_exit(pid)

    def _report_exit(self, pid: int) -> None:
        """Send the exit status of a command to its client."""
        if pid not in self.running:  # the command's end and the client's arrived together
            return
        process, connection = self.running.pop(pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.events.unregister(process)
        self.events.unregister(connection)
        os.close(process)
        with connection:
            reply(connection, status)


def reply(connection: socket.socket, number: int) -> None:
    """Send a number to a client, unless the client was killed."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(f"{number}\n".encode())


if __name__ == "__main__":
    main()
