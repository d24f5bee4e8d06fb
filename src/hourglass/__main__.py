"""Entry point of the program `hourglass`, `python -m hourglass` and `python src/hourglass`."""

import sys
from pathlib import Path

if not __package__:  # `python src/hourglass`, as in dvc.yaml: import this checkout
    sys.path[0] = str(Path(__file__).parents[1])
    __spec__ = None  # otherwise Lightning would start other ranks as `python -m __main__`

from hourglass.core.fork_server.client import run_in_fork_server


def main() -> None:
    """Run the command in a fork of the fork server, or in this process if there is none."""
    if "in_fork" not in globals():  # forks run this file too
        run_in_fork_server({"module": "hourglass"} if __package__ else {"path": sys.argv[0]})
    from hourglass.cli.main import program

    program()


if __name__ == "__main__":
    main()
