"""Command `ui`: open the runs of this workspace in MLflow's web interface."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from contextlib import suppress
from typing import IO

from hourglass.core.errors import UserError
from hourglass.core.paths import root

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 5000, 20
START_SECONDS = 60  # an MLflow server imports for several seconds
STOP_SECONDS = 10


def ui(port: int | None = None, open: bool = True) -> None:
    """Start MLflow on this machine, print the addresses of its saved views, and open a browser.

    The first view is the leaderboard of all trainings. Ctrl-C stops the server. If
    MLFLOW_TRACKING_URI is the address of a server, no other server is started.

    Args:
        port: the port to listen on (default: 5000, or the next free one)
        open: open a browser, if this session has a display

    Examples:
        hourglass ui
        hourglass ui --port 8080 --no-open

    """
    from hourglass.tracking.connection import tracking_uri, without_login

    uri = tracking_uri(root())
    is_server = uri.startswith(("http://", "https://"))
    if is_server and port is not None:
        raise UserError(
            f"port is {port}, but MLFLOW_TRACKING_URI names a server; remove one of the two."
        )
    for name in ("SIGTERM", "SIGHUP"):  # end the server too if the terminal is closed
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        if is_server:
            _show(without_login(uri).rstrip("/"), _links(), open)
        else:
            _serve(uri, _free_port(port), open)
    except KeyboardInterrupt:
        print("\nstopped", flush=True)


def _serve(uri: str, port: int, open: bool) -> None:
    """Run the server until it is interrupted; raise a UserError if it ends."""
    links = _links()  # creates the database if it is missing
    with tempfile.TemporaryFile() as log:
        server = _start(uri, port, log)
        try:
            if _is_ready(server, port):
                _show(f"http://{HOST}:{port}", links, open)
                print("Press Ctrl-C to stop.", flush=True)
                server.wait()
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise UserError(f"the MLflow server ended: {lines[-1] if lines else 'no message'}")
        finally:
            _stop(server)


def _links() -> dict[str, str]:
    """Return the URL fragments of the saved views by name."""
    from hourglass.tracking.connection import connect, store_errors
    from hourglass.tracking.time_limit import StoreUnavailable
    from hourglass.tracking.views import saved_views

    try:
        with store_errors("list the saved views"):
            return saved_views(*connect(root()))
    except StoreUnavailable as error:
        raise UserError(f"{error}.") from None


def _free_port(port: int | None) -> int:
    """Return `port`, or the first free port from 5000 on; raise a UserError if none is free."""
    if port is not None and not 0 < port < 2**16:
        raise UserError(f"port is {port}, but must be between 1 and {2**16 - 1}.")
    candidates = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for candidate in candidates:
        with socket.socket() as test:
            if os.name != "nt":  # as servers do; without it, a port is taken for a minute after use
                test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                test.bind((HOST, candidate))
                return candidate
    busy = f"port {port} is" if port else f"the ports {FIRST_PORT} to {candidates[-1]} are"
    raise UserError(f"{busy} in use; name a free one with `hourglass ui --port`.")


def _start(uri: str, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start the server in a separate process group, so that Ctrl-C does not reach it."""
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,  # no argument, which other users of the machine can read
        # The server would otherwise start eight processes for jobs of language models.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    print(f"starting MLflow on port {port} ...", file=sys.stderr, flush=True)
    return subprocess.Popen(
        [*command, "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=log,
        env=environment,
        start_new_session=True,
    )


def _is_ready(server: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until the server answers; return False if it ends before, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
            return True
        time.sleep(0.2)
    return False


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers."""
    for stop in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with suppress(OSError):  # it has ended
            if hasattr(os, "killpg"):
                os.killpg(server.pid, stop)
            else:
                server.send_signal(stop)
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)
            return


def _show(address: str, links: dict[str, str], open: bool) -> None:
    """Print the URL of each view, and open the first one."""
    width = max(map(len, links)) + 1
    for name, link in links.items():
        print(f"{name + ':':{width}} {address}/{link}", flush=True)
    if open and _has_display():
        webbrowser.open(f"{address}/{next(iter(links.values()))}")


def _has_display() -> bool:
    """Return whether a browser window can appear; a browser of the terminal would block."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
