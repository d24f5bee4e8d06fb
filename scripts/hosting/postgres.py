"""PostgreSQL, our own or an existing one, and the databases and roles in it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from hosting.processes import TIMEOUT_SECONDS, unprivileged, write_private
from hourglass.core.errors import UserError, one_line

DEBIAN_FOLDER = "/usr/lib/postgresql"
LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Postgres:
    """An existing PostgreSQL, with a user who may create roles and databases."""

    host: str
    port: int
    user: str = "postgres"
    password: str | None = None  # None leaves it to libpq: PGPASSWORD, or ~/.pgpass

    @classmethod
    def existing(cls) -> "Postgres":
        """Return the server that libpq's variables name: PGHOST, PGPORT, PGUSER, PGPASSWORD."""
        port, user = os.environ.get("PGPORT", "5432"), os.environ.get("PGUSER", "postgres")
        return cls(os.environ["PGHOST"], int(port), user)

    def start(self) -> None:
        """Do nothing: the server is not ours."""

    def stop(self, mode: str = "fast") -> None:
        """Do nothing: the server is not ours."""

    def connect(self, database: str = "postgres", **other: Any) -> "psycopg.Connection[Any]":
        """Return a connection, as the administrator by default."""
        login: dict[str, Any] = {"user": self.user, "password": self.password} | other
        return psycopg.connect(
            host=self.host, port=self.port, dbname=database, autocommit=True, connect_timeout=10,
            **{key: value for key, value in login.items() if value},
        )  # fmt: skip

    def url(self, database: str, user: str, password: str = "") -> str:
        """Return the SQLAlchemy URL of a database."""
        secret = f":{password}" if password else ""
        return f"postgresql+psycopg://{user}{secret}@{self.host}:{self.port}/{database}"

    def provide(self, database: str, user: str, password: str) -> None:
        """Create a database and the role that owns it, unless they exist.

        Raises a UserError if PostgreSQL is unreachable, denies it, or has another password for
        the role.
        """
        try:
            with self.connect() as admin:
                if self._create_role(admin, user, password):
                    self.connect(user=user, password=password).close()
                self._create_database(admin, database, user)
        except psycopg.Error as error:
            raise UserError(
                f"PostgreSQL at {self.host}:{self.port} does not provide {database} for {user} "
                f"({one_line(error)}); correct PGUSER and PGPASSWORD, or the role's password."
            ) from None

    def _create_role(self, admin: "psycopg.Connection[Any]", user: str, password: str) -> bool:
        """Create a role that may log in; return whether it existed before."""
        exists = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone()
        if not exists:
            # Hashed by the client: the server may log statements.
            hashed = admin.pgconn.encrypt_password(
                password.encode(), user.encode(), b"scram-sha-256"
            ).decode()
            statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            admin.execute(statement.format(sql.Identifier(user), sql.Literal(hashed)))
        return bool(exists)

    def _create_database(self, admin: "psycopg.Connection[Any]", name: str, user: str) -> None:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return
        database, owner = sql.Identifier(name), sql.Identifier(user)
        # A user who is not a superuser may only create databases for roles of which it is a member.
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
        admin.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))


@dataclass(frozen=True)
class OwnPostgres(Postgres):
    """A PostgreSQL that we run, with data, log and settings in one folder."""

    folder: Path = Path("postgresql")

    @property
    def data(self) -> Path:
        """Return the folder of the data."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it unless it runs; create its data on first use.

        Raises a UserError if PostgreSQL is not installed or does not start.
        """
        if not (self.data / "PG_VERSION").exists():
            self._create_data()
        if not self.is_running():
            listening = f"-c listen_addresses={self.host} -c port={self.port}"
            # No Unix socket: its path would be limited to 107 bytes.
            options = f"{listening} -c unix_socket_directories=''"
            self._control_or_fail("start", "--log", str(self.folder / "log"), "--options", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it if it runs: `fast` closes connections, `immediate` is like a crash."""
        if self.is_running():
            self._control_or_fail("stop", "--mode", mode)

    def is_running(self) -> bool:
        """Return whether its process runs."""
        return (self.data / "PG_VERSION").exists() and not self._control("status")

    def _control_or_fail(self, *words: str) -> None:
        if self._control("--wait", "--timeout", str(TIMEOUT_SECONDS), *words):
            log = self.folder / "log"
            raise UserError(f"PostgreSQL did not {words[0]}; see {log} for the reason.")

    def _create_data(self) -> None:
        """Create the data; connections need a password, also from this machine."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.data.with_name("data.partial")
        shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
        secret = self.folder / "password"
        write_private(secret, self.password or "")
        owner = unprivileged()
        for path in (self.folder, secret) if owner else ():
            os.chown(path, owner["user"], owner["group"])
        status, output = self._call(
            "initdb", "--pgdata", str(partial), "--username", self.user, "--pwfile", str(secret),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
        )  # fmt: skip
        secret.unlink()
        if status:
            raise UserError(f"PostgreSQL's data cannot be created ({one_line(Exception(output))}).")
        if self.host not in LOOPBACK:
            with (partial / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write("host all all all scram-sha-256\n")
        partial.rename(self.data)

    def _control(self, *words: str) -> int:
        """Return the exit status of pg_ctl on the data."""
        return self._call("pg_ctl", "--pgdata", str(self.data), *words)[0]

    def _call(self, program: str, *words: str) -> tuple[int, str]:
        """Run a program of PostgreSQL as an unprivileged user; return status and output."""
        log = self.folder / "out"  # a pipe would stay open while the server runs
        with log.open("w+", encoding="utf-8") as output:
            done = subprocess.run(
                [find_program(program), *words],
                cwd="/",  # that user may have no access to ours
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                **unprivileged(),
            )
            output.seek(0)
            return done.returncode, output.read()


def find_program(name: str) -> str:
    """Return the path of a program of PostgreSQL, from PATH or Debian's newest version.

    Raises a UserError if it is not installed.
    """
    versions = sorted(Path(DEBIAN_FOLDER).glob("*/bin"), key=lambda each: int(each.parent.name))
    path = os.pathsep.join([os.environ["PATH"], *map(str, reversed(versions))])
    program = shutil.which(name, path=path)
    if not program:
        raise UserError(
            f"the program {name} of PostgreSQL is not installed; run `apt-get install postgresql`, "
            "or let PGHOST name an existing server."
        )
    return program
