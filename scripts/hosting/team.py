"""All servers of a team in one folder, and the variables by which its members reach them."""

import os
import secrets
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shlex import quote

from hosting.passwords import passwords, write_private
from hosting.postgres import OwnPostgres, Postgres
from hosting.tracking import Tracking
from hourglass.core.errors import UserError
from hourglass.core.paths import valid_name

STUDIES = "hourglass_optuna"  # the database of Optuna's studies, and the role that owns it
MEMBER = "hourglass"  # the user that is there from the start


@dataclass(frozen=True)
class Team:
    """PostgreSQL (unless PGHOST names one), MLflow and Optuna's database, for `address`."""

    folder: Path
    host: str = "127.0.0.1"
    address: str = ""  # by which members call this machine, if not by host
    port: int = 5000
    postgres_port: int = 5433
    artifacts: str = ""
    names: tuple[str, ...] = ()  # others by which MLflow is called, such as that of a proxy
    workers: int = 2

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Return the passwords, which are made the first time."""
        return passwords(self.folder / "passwords.json")

    @cached_property
    def database(self) -> Postgres:
        """Return the PostgreSQL: the one that PGHOST names, or our own."""
        if os.environ.get("PGHOST"):
            return Postgres.existing()
        return OwnPostgres(
            self.host, self.postgres_port, "postgres", self.secrets["postgres"],
            self.folder / "postgresql",
        )  # fmt: skip

    @cached_property
    def tracking(self) -> Tracking:
        """Return the MLflow server."""
        return Tracking(
            self.folder, self.host, self.port, self.database, self.secrets, self.artifacts,
            (*filter(None, [self.address]), *self.names), self.workers,
        )  # fmt: skip

    def start(self) -> Path:
        """Start what does not run, and return the file with a member's variables.

        Raises a UserError where a server does not start.
        """
        self.database.start()
        self.database.provide(STUDIES, STUDIES, self.secrets["optuna"])
        self.tracking.start()
        return self.add(MEMBER, self.secrets["hourglass"])

    def stop(self) -> None:
        """Stop MLflow, and PostgreSQL if it is ours; what they hold stays."""
        self.tracking.stop()
        self.database.stop()

    def add(self, name: str, password: str = "") -> Path:
        """Add a member to MLflow, and return the file to source: nobody else can read it.

        Without a password one is made. Raises a UserError for a member who is there already.
        """
        path = self.folder / "members" / f"{valid_name(name)}.env"
        given = password or secrets.token_urlsafe(24)
        if not self.tracking.add_user(name, given) and not password:
            raise UserError(f"{name!r} is a member already; {path} has the variables.")
        found = self.variables(name, given)
        write_private(path, "".join(f"export {key}={quote(each)}\n" for key, each in found.items()))
        return path

    def variables(self, name: str, password: str) -> dict[str, str]:
        """Return the environment with which `dvc repro`, `tune` and `promote` use the servers."""
        own = isinstance(self.database, OwnPostgres)
        storage = replace(self.database, host=self.address or self.host) if own else self.database
        return {
            "MLFLOW_TRACKING_URI": f"http://{self.address or self.host}:{self.port}",
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": password,
            "HOURGLASS_OPTUNA_STORAGE": storage.url(STUDIES, STUDIES, self.secrets["optuna"]),
        }
