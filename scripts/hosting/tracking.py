"""An MLflow server with its tables and users in PostgreSQL, which also serves artifacts."""

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
from hosting.postgres import LOOPBACK, Postgres
from hosting.processes import write_private
from hourglass.core.errors import UserError, one_line

ADMIN = "admin"
ALL_INTERFACES = str(IPv4Address(socket.INADDR_ANY))  # loopback included
# Colleagues work in one experiment. A command may delete what a killed command of a colleague left,
# which needs MANAGE; EDIT allows additions only.
PERMISSIONS = """\
[mlflow]
default_permission = MANAGE
database_uri = {users}
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


@dataclass(frozen=True)
class Tracking:
    """The server, with its settings, log and artifacts in `folder`."""

    folder: Path
    host: str
    port: int
    database: Postgres
    secrets: dict[str, str] = field(repr=False)
    artifacts: str = ""  # another destination of artifacts: s3://..., or a path
    names: tuple[str, ...] = ()  # host names of this machine besides those of loopback
    workers: int = 2

    ROLE, RUNS, USERS = "hourglass_mlflow", "hourglass_mlflow", "hourglass_users"

    @property
    def url(self) -> str:
        """Return its URL on this machine."""
        return f"http://{LOOPBACK[0] if self.host == ALL_INTERFACES else self.host}:{self.port}"

    @property
    def pid_file(self) -> Path:
        """Return the file that identifies the process."""
        return self.folder / "mlflow.pid"

    def start(self) -> None:
        """Start it unless it runs; create missing databases.

        Raises a UserError if it does not start.
        """
        if processes.find(self.pid_file):
            return
        for name in (self.RUNS, self.USERS):
            self.database.provide(name, self.ROLE, self.secrets["mlflow"])
        self._write_settings()
        log = self.folder / "mlflow.log"
        processes.start(self._command(), self.pid_file, log, self._variables())
        processes.wait_for(self.is_up, self.pid_file, log)

    def stop(self) -> bool:
        """Stop it; return whether it ran."""
        return processes.stop(self.pid_file)

    def is_up(self) -> bool:
        """Return whether it responds."""
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=10).close()
        except OSError:
            return False
        return True

    def add_user(self, name: str, password: str) -> bool:
        """Add a user without administrator rights; return False if the name is taken.

        Raises a UserError if the server denies it.
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
            raise UserError(f"MLflow cannot add {name!r} ({reason}).") from None
        return True

    def _write_settings(self) -> None:
        """Write the server's permissions, unless they exist, and its database password."""
        permissions = self.folder / "basic_auth.ini"
        if not permissions.exists():
            users = self.database.url(self.USERS, self.ROLE)
            write_private(permissions, PERMISSIONS.format(users=users, admin=ADMIN))
        write_private(self.folder / "pgpass", f"*:*:*:{self.ROLE}:{self.secrets['mlflow']}\n")

    def _command(self) -> list[str]:
        """Return the command line, which contains no secret."""
        hosts = [*LOOPBACK, self.host, *self.names]
        # A page in a browser may only use the server if it came from the server or its proxy.
        origins = [f"http://{name}:{self.port}" for name in hosts]
        origins += [f"https://{name}" for name in self.names]
        return [
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
            *("--backend-store-uri", self.database.url(self.RUNS, self.ROLE)),
            *("--serve-artifacts", "--artifacts-destination"),
            self.artifacts or str(self.folder / "artifacts"),
            *("--host", self.host, "--port", str(self.port), "--workers", str(self.workers)),
            *("--allowed-hosts", ",".join(f"{name},{name}:*" for name in hosts)),
            *("--cors-allowed-origins", ",".join(origins)),
        ]

    def _variables(self) -> dict[str, str]:
        """Return the environment: the secrets, and no variables of a client."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MLFLOW_", "HOURGLASS_")) and key not in ("PGPASSWORD", "PGUSER")
        }
        return kept | {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "basic_auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.secrets["admin"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self.secrets["cookies"],
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # unused here
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PGPASSFILE": str(self.folder / "pgpass"),
        }
