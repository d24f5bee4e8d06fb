"""Start, stop and extend the servers of a team: MLflow and Optuna's studies on PostgreSQL.

    python scripts/server.py start          # prints the file to source: then dvc repro, tune, ...
    python scripts/server.py member ada     # one more member of the team, with a file of her own
    python scripts/server.py stop           # what the servers hold stays

Data, logs, artifacts and passwords are in .servers; the passwords are made at random, in files that
nobody else can read, and are neither printed nor on a command line. Where PGHOST (with PGPORT,
PGUSER, PGPASSWORD) names a PostgreSQL, that is used and none is started.

For this machine alone, unless --host says otherwise: members then need --address, the name by
which they call this machine; MLflow refuses what calls it by another, unless --names has it. No
server encrypts what it sends, passwords included: a network that is not yours alone needs a proxy
with TLS before MLflow, whose https:// address members then have in MLFLOW_TRACKING_URI, and ssl in
PostgreSQL.
"""

import argparse
import sys
from pathlib import Path

from hosting.postgres import LOOPBACK
from hosting.team import Team

from hourglass.core.errors import UserError


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["start", "stop", "member"])
    parser.add_argument("name", nargs="?", help="of a new member")
    parser.add_argument("--folder", type=Path, default=Path(".servers"))
    parser.add_argument("--host", default="127.0.0.1", help="the interface to listen on")
    parser.add_argument("--address", default="", help="what members call this machine")
    parser.add_argument("--port", type=int, default=5000, help="of MLflow")
    parser.add_argument("--postgres_port", type=int, default=5433)
    parser.add_argument("--artifacts", default="", help="where to keep them, such as s3://bucket")
    parser.add_argument("--names", nargs="+", default=[], help="others of MLflow, as of a proxy")
    parser.add_argument("--workers", type=int, default=2, help="processes of MLflow's server")
    given = vars(parser.parse_args())
    action, name = given.pop("action"), given.pop("name")
    given |= {"folder": given["folder"].absolute(), "names": tuple(given["names"])}
    try:
        _do(action, name, Team(**given))
    except UserError as refusal:
        sys.exit(str(refusal))


def _do(action: str, name: str | None, team: Team) -> None:
    if (action == "member") != bool(name):
        raise UserError(f"{action} takes {'the' if action == 'member' else 'no'} name of a member.")
    if team.host not in LOOPBACK and not team.address:
        raise UserError(
            f"host is {team.host}, so --address must say what members call this machine."
        )
    if action == "stop":
        team.stop()
        return
    path = team.start() if not name else team.add(name)
    print(f"MLflow: {team.variables('', '')['MLFLOW_TRACKING_URI']}")
    print(f"source {path}")


if __name__ == "__main__":
    main()
