"""A PostgreSQL of our own, or one that is there already, and the databases that we keep in it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from hosting.passwords import write_private
from hosting.processes import PATIENCE, unprivileged
from hourglass.core.errors import UserError, one_line

DEBIAN = "/usr/lib/postgresql"
LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Postgres:
    """Where a PostgreSQL answers, and who may make roles and databases in it."""

    host: str
    port: int
    user: str = "postgres"
    password: str | None = None  # None leaves it to libpq: PGPASSWORD, or ~/.pgpass

    @classmethod
    def existing(cls) -> "Postgres":
        """Return the one that libpq's variables name: PGHOST, PGPORT, PGUSER, PGPASSWORD."""
        port, user = os.environ.get("PGPORT", "5432"), os.environ.get("PGUSER", "postgres")
        return cls(os.environ["PGHOST"], int(port), user)

    def start(self) -> None:
        """Do nothing: others run it."""

    def stop(self, mode: str = "fast") -> None:
        """Do nothing: others run it."""

    def connect(self, database: str = "postgres", **other: Any) -> "psycopg.Connection[Any]":
        """Return a connection, as the administrator unless told otherwise."""
        given: dict[str, Any] = {"user": self.user, "password": self.password} | other
        return psycopg.connect(
            host=self.host, port=self.port, dbname=database, autocommit=True, connect_timeout=10,
            **{key: each for key, each in given.items() if each},
        )  # fmt: skip

    def url(self, database: str, user: str, password: str = "") -> str:
        """Return SQLAlchemy's address of a database."""
        secret = f":{password}" if password else ""
        return f"postgresql+psycopg://{user}{secret}@{self.host}:{self.port}/{database}"

    def provide(self, database: str, user: str, password: str) -> None:
        """Make a database and the role that owns it, unless they are there.

        Raises a UserError where PostgreSQL does not answer, forbids it, or knows the role by another
        password.
        """
        try:
            with self.connect() as admin:
                if self._make_role(admin, user, password):
                    self.connect(user=user, password=password).close()
                self._make_database(admin, database, user)
        except psycopg.Error as error:
            raise UserError(
                f"PostgreSQL at {self.host}:{self.port} does not provide {database} for {user} "
                f"({one_line(error)}); mend PGUSER and PGPASSWORD, or the role's password."
            ) from None

    def _make_role(self, admin: "psycopg.Connection[Any]", user: str, password: str) -> bool:
        """Make a role that may log in; return whether it was there before."""
        known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone()
        if not known:
            # Hashed on this side: the server's log may keep statements.
            hashed = admin.pgconn.encrypt_password(
                password.encode(), user.encode(), b"scram-sha-256"
            ).decode()
            statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            admin.execute(statement.format(sql.Identifier(user), sql.Literal(hashed)))
        return bool(known)

    def _make_database(self, admin: "psycopg.Connection[Any]", name: str, user: str) -> None:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return
        database, owner = sql.Identifier(name), sql.Identifier(user)
        # Who is no superuser makes databases for those roles only that it is a member of.
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
        admin.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))


@dataclass(frozen=True)
class OwnPostgres(Postgres):
    """A PostgreSQL whose data, log and settings are in one folder; by default for this machine."""

    folder: Path = Path("postgresql")

    @property
    def data(self) -> Path:
        """Return the folder of the data."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and make its data the first time; it does no harm where it runs.

        Raises a UserError where PostgreSQL is not installed, or does not start.
        """
        if not (self.data / "PG_VERSION").exists():
            self._make()
        if not self.runs():
            listening = f"-c listen_addresses={self.host} -c port={self.port}"
            # No socket: its path would be limited to 107 bytes.
            options = f"{listening} -c unix_socket_directories=''"
            self._order("start", "--log", str(self.folder / "log"), "--options", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it, where it runs: `fast` breaks connections off, `immediate` is as a crash."""
        if self.runs():
            self._order("stop", "--mode", mode)

    def runs(self) -> bool:
        """Return whether its process lives."""
        return (self.data / "PG_VERSION").exists() and not self._control("status")

    def _order(self, *words: str) -> None:
        if self._control("--wait", "--timeout", str(PATIENCE), *words):
            raise UserError(f"PostgreSQL did not {words[0]}; {self.folder / 'log'} says why.")

    def _make(self) -> None:
        """Make the data: passwords are asked for from everywhere, this machine included."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.data.with_name("making")
        shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
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
            raise UserError(f"PostgreSQL's data cannot be made ({one_line(Exception(output))}).")
        if self.host not in LOOPBACK:
            with (partial / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write("host all all all scram-sha-256\n")
        partial.rename(self.data)

    def _control(self, *words: str) -> int:
        """Return the exit status of pg_ctl on the data."""
        return self._call("pg_ctl", "--pgdata", str(self.data), *words)[0]

    def _call(self, program: str, *words: str) -> tuple[int, str]:
        """Run one of PostgreSQL's programs as the user who may; return status and output."""
        log = self.folder / "out"  # a pipe would stay open as long as the server runs
        with log.open("w+", encoding="utf-8") as output:
            done = subprocess.run(
                [find_program(program), *words],
                cwd="/",  # of ours nothing need be open to that user
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
    """Return the path of one of PostgreSQL's programs.

    Debian keeps servers out of PATH: its newest version is taken where PATH has none. Raises a
    UserError where there is none.
    """
    versions = sorted(Path(DEBIAN).glob("*/bin"), key=lambda each: int(each.parent.name))
    path = os.pathsep.join([os.environ["PATH"], *map(str, reversed(versions))])
    found = shutil.which(name, path=path)
    if not found:
        raise UserError(
            f"PostgreSQL's {name} is not here; `apt-get install postgresql`, or let PGHOST name a "
            "server that is there."
        )
    return found
