"""Start, stop and extend the servers of a team: MLflow and Optuna studies on PostgreSQL.

    python scripts/server.py start          # prints the file to source before dvc repro, tune
    python scripts/server.py member ada     # adds a member, with a file of variables
    python scripts/server.py stop           # keeps the data

Data, logs, artifacts and passwords are in .servers. Passwords are random, stored in private files,
never printed and never on a command line. If PGHOST (with PGPORT, PGUSER, PGPASSWORD) names a
PostgreSQL, that is used and none is started.

The servers listen on this machine only, unless --host says otherwise: then --address is the name of
this machine for members, and MLflow refuses requests for other names than that and --names. The
servers do not encrypt traffic, passwords included: a shared network needs a TLS proxy before
MLflow, whose https:// address members put in MLFLOW_TRACKING_URI, and ssl in PostgreSQL.
"""

import sys
from pathlib import Path

from common import argument_parser
from hosting.postgres import LOOPBACK
from hosting.team import Team

from hourglass.core.errors import UserError


def main() -> None:
    """Start or stop the servers, or add a member."""
    parser = argument_parser(__doc__)
    parser.add_argument("action", choices=["start", "stop", "member"])
    parser.add_argument("name", nargs="?", help="name of the new member")
    parser.add_argument("--folder", type=Path, default=Path(".servers"))
    parser.add_argument("--host", default="127.0.0.1", help="the interface to listen on")
    parser.add_argument("--address", default="", help="name of this machine for members")
    parser.add_argument("--port", type=int, default=5000, help="port of MLflow")
    parser.add_argument("--postgres_port", type=int, default=5433)
    parser.add_argument("--artifacts", default="", help="destination, such as s3://bucket")
    parser.add_argument("--names", nargs="+", default=[], help="more host names of MLflow")
    parser.add_argument("--workers", type=int, default=2, help="processes of the MLflow server")
    options = vars(parser.parse_args())
    action, name = options.pop("action"), options.pop("name")
    options |= {"folder": options["folder"].absolute(), "names": tuple(options["names"])}
    try:
        _run(action, name, Team(**options))
    except UserError as error:
        sys.exit(str(error))


def _run(action: str, name: str | None, team: Team) -> None:
    if (action == "member") != bool(name):
        raise UserError(f"{action} takes {'the' if action == 'member' else 'no'} name of a member.")
    if team.host not in LOOPBACK and not team.address:
        raise UserError(f"host is {team.host}, so --address must name this machine for members.")
    if action == "stop":
        team.stop()
        return
    path = team.start() if not name else team.add(name)
    print(f"MLflow: {team.variables('', '')['MLFLOW_TRACKING_URI']}")
    print(f"source {path}")


if __name__ == "__main__":
    main()
