"""Entry point of `python -m hourglass` and `python src/hourglass`."""

import sys
from pathlib import Path

if not __package__:  # `python src/hourglass`, as in dvc.yaml: import this checkout
    sys.path[0] = str(Path(__file__).parents[1])
    __spec__ = None  # otherwise Lightning would start other ranks as `python -m __main__`

from hourglass.core.fork_server.client import run_in_fork_server

if __name__ == "__main__" and "in_fork" not in globals():  # forks run this file too
    run_in_fork_server({"path": sys.argv[0]})

from hourglass.cli.main import program

if __name__ == "__main__":
    program()
