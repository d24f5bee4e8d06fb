"""An MLflow server: its tables and its users in PostgreSQL, its artifacts behind it."""

import base64
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from hosting import processes
from hosting.passwords import write_private
from hosting.postgres import LOOPBACK, Postgres
from hourglass.core.errors import UserError, one_line

ADMIN = "admin"
EVERYWHERE = str(IPv4Address(socket.INADDR_ANY))  # to listen there is to listen here too
# Colleagues work in one experiment. A command clears up what a killed one of somebody else left,
# which takes MANAGE; EDIT would let them add only.
RIGHTS = """\
[mlflow]
default_permission = MANAGE
database_uri = {users}
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


@dataclass(frozen=True)
class Tracking:
    """The server, whose settings, log and artifacts are in `folder`."""

    folder: Path
    host: str
    port: int
    database: Postgres
    secrets: dict[str, str] = field(repr=False)
    artifacts: str = ""  # where to keep them, if not in the folder: s3://..., or a path
    names: tuple[str, ...] = ()  # by which this machine may be called, beside those of loopback
    workers: int = 2

    ROLE, RUNS, USERS = "hourglass_mlflow", "hourglass_mlflow", "hourglass_users"

    @property
    def url(self) -> str:
        """Return where it answers on this machine."""
        return f"http://{LOOPBACK[0] if self.host == EVERYWHERE else self.host}:{self.port}"

    @property
    def noted(self) -> Path:
        """Return the file that names the process."""
        return self.folder / "mlflow.pid"

    def start(self) -> None:
        """Start it on databases that are made where they are missing; no harm where it runs.

        Raises a UserError where it does not start.
        """
        if processes.find(self.noted):
            return
        for name in (self.RUNS, self.USERS):
            self.database.provide(name, self.ROLE, self.secrets["mlflow"])
        self._write_settings()
        log = self.folder / "mlflow.log"
        processes.start(self._command(), self.noted, log, self._variables())
        processes.wait_for(self.answers, self.noted, log)

    def stop(self) -> bool:
        """Stop it; return whether it ran."""
        return processes.stop(self.noted)

    def answers(self) -> bool:
        """Return whether it is up."""
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=10).close()
        except OSError:
            return False
        return True

    def add_user(self, name: str, password: str) -> bool:
        """Add a user, who is no administrator; return False where the name is taken.

        Raises a UserError where the server says no.
        """
        body = json.dumps({"username": name, "password": password}).encode()
        login = base64.b64encode(f"{ADMIN}:{self.secrets['admin']}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        address = f"{self.url}/api/2.0/mlflow/users/create"
        try:
            urllib.request.urlopen(urllib.request.Request(address, body, headers)).close()
        except urllib.error.HTTPError as error:
            if b"RESOURCE_ALREADY_EXISTS" in (answer := error.read()):
                return False
            reason = one_line(Exception(answer.decode()))
            raise UserError(f"MLflow does not add {name!r} ({reason}).") from None
        return True

    def _write_settings(self) -> None:
        """Write what the server reads: its rights, unless they were changed, and its password."""
        rights = self.folder / "basic_auth.ini"
        if not rights.exists():
            users = self.database.url(self.USERS, self.ROLE)
            write_private(rights, RIGHTS.format(users=users, admin=ADMIN))
        write_private(self.folder / "pgpass", f"*:*:*:{self.ROLE}:{self.secrets['mlflow']}\n")

    def _command(self) -> list[str]:
        """Return the command line, which holds no secret."""
        called = [*LOOPBACK, self.host, *self.names]
        # A page in a browser may use the server only if it came from there, or from a proxy of it.
        pages = [f"http://{name}:{self.port}" for name in called]
        pages += [f"https://{name}" for name in self.names]
        return [
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
            *("--backend-store-uri", self.database.url(self.RUNS, self.ROLE)),
            *("--serve-artifacts", "--artifacts-destination"),
            self.artifacts or str(self.folder / "artifacts"),
            *("--host", self.host, "--port", str(self.port), "--workers", str(self.workers)),
            *("--allowed-hosts", ",".join(f"{name},{name}:*" for name in called)),
            *("--cors-allowed-origins", ",".join(pages)),
        ]

    def _variables(self) -> dict[str, str]:
        """Return the environment: the secrets, and nothing of a client's."""
        kept = {
            key: each
            for key, each in os.environ.items()
            if not key.startswith(("MLFLOW_", "HOURGLASS_")) and key not in ("PGPASSWORD", "PGUSER")
        }
        return kept | {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "basic_auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.secrets["admin"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self.secrets["cookies"],
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nothing of ours is a job of MLflow's
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PGPASSFILE": str(self.folder / "pgpass"),
        }
