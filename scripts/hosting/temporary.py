"""Servers for a while: for tests and trials, on free ports of loopback, gone afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hosting.processes import free_port
from hosting.team import Team


@contextmanager
def temporary_team() -> Iterator[Team]:
    """Yield a team's servers, started in a temporary folder; they and it are gone after the block.

    Whatever PostgreSQL the user's PGHOST names is left alone.
    """
    # Below a temporary folder of pytest's the user who runs PostgreSQL for root could not come.
    folder = Path(tempfile.mkdtemp(prefix="hourglass-servers-"))
    folder.chmod(0o755)
    host = os.environ.pop("PGHOST", None)
    team = Team(folder, port=free_port(), postgres_port=free_port(), workers=1)
    try:
        team.start()
        yield team
    finally:
        team.stop()
        shutil.rmtree(folder)
        if host is not None:
            os.environ["PGHOST"] = host
