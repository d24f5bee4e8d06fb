"""All servers of a team in one folder, and the variables with which its members use them."""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shlex import quote

from hosting.postgres import OwnPostgres, Postgres
from hosting.processes import free_port, write_private
from hosting.tracking import Tracking
from hourglass.core.errors import UserError
from hourglass.core.paths import valid_name

STUDIES = "hourglass_optuna"  # the database of the Optuna studies, and the role that owns it
MEMBER = "hourglass"  # the first member
PASSWORDS = ("postgres", "mlflow", "optuna", "admin", "hourglass", "cookies")


@dataclass(frozen=True)
class Team:
    """PostgreSQL (unless PGHOST names one), MLflow and the database of Optuna's studies."""

    folder: Path
    host: str = "127.0.0.1"
    address: str = ""  # name of this machine for members, if not `host`
    port: int = 5000
    postgres_port: int = 5433
    artifacts: str = ""
    names: tuple[str, ...] = ()  # other host names of MLflow, such as a proxy's
    workers: int = 2

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Return the passwords by name, created at random on first use.

        Raises a UserError if others can read their file.
        """
        path = self.folder / "passwords.json"
        if not path.exists():
            random = {name: secrets.token_urlsafe(24) for name in PASSWORDS}
            write_private(path, json.dumps(random))
        if path.stat().st_mode & 0o077:
            raise UserError(f"{path} can be read by others; run `chmod 600 {path}`.")
        passwords: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return passwords

    @cached_property
    def database(self) -> Postgres:
        """Return the PostgreSQL that PGHOST names, or our own."""
        if os.environ.get("PGHOST"):
            return Postgres.existing()
        folder, password = self.folder / "postgresql", self.secrets["postgres"]
        return OwnPostgres(self.host, self.postgres_port, "postgres", password, folder)

    @cached_property
    def tracking(self) -> Tracking:
        """Return the MLflow server."""
        names = (*filter(None, [self.address]), *self.names)
        settings = (self.folder, self.host, self.port, self.database, self.secrets)
        return Tracking(*settings, self.artifacts, names, self.workers)

    def start(self) -> Path:
        """Start the servers that do not run; return the file with a member's variables.

        Raises a UserError if a server does not start.
        """
        self.database.start()
        self.database.provide(STUDIES, STUDIES, self.secrets["optuna"])
        self.tracking.start()
        return self.add(MEMBER, self.secrets["hourglass"])

    def stop(self) -> None:
        """Stop MLflow, and PostgreSQL if it is our own; their data stay."""
        self.tracking.stop()
        self.database.stop()

    def add(self, name: str, password: str = "") -> Path:
        """Add a member to MLflow; return the private file with the variables to source.

        Without a password a random one is created. Raises a UserError if the member exists.
        """
        path = self.folder / "members" / f"{valid_name(name)}.env"
        new = password or secrets.token_urlsafe(24)
        if not self.tracking.add_user(name, new) and not password:
            raise UserError(f"{name!r} is a member already; {path} has the variables.")
        variables = self.variables(name, new).items()
        write_private(path, "".join(f"export {key}={quote(value)}\n" for key, value in variables))
        return path

    def variables(self, name: str, password: str) -> dict[str, str]:
        """Return the environment with which `dvc repro`, `tune` and `promote` use the servers."""
        host, storage = self.address or self.host, self.database
        if isinstance(storage, OwnPostgres):
            storage = replace(storage, host=host)
        return {
            "MLFLOW_TRACKING_URI": f"http://{host}:{self.port}",
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": password,
            "HOURGLASS_OPTUNA_STORAGE": storage.url(STUDIES, STUDIES, self.secrets["optuna"]),
        }


@contextmanager
def temporary_team(*names: str) -> Iterator[Team]:
    """Yield the servers of a team on free ports of loopback, removed after the block.

    MLflow also answers to `names`. A PostgreSQL that the user's PGHOST names is not used.
    """
    # A temporary folder of pytest would be closed to the user who runs PostgreSQL for root.
    folder = Path(tempfile.mkdtemp(prefix="hourglass-servers-"))
    folder.chmod(0o755)
    host = os.environ.pop("PGHOST", None)
    team = Team(folder, port=free_port(), postgres_port=free_port(), names=names, workers=1)
    try:
        team.start()
        yield team
    finally:
        team.stop()
        shutil.rmtree(folder)
        if host is not None:
            os.environ["PGHOST"] = host
