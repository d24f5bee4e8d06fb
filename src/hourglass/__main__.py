"""Entry point of `python -m hourglass` and `python src/hourglass`."""

import sys
from pathlib import Path

if not __package__:  # `python src/hourglass`, as dvc.yaml runs it: the code beside this file
    sys.path[0] = str(Path(__file__).parents[1])
    __spec__ = None  # else Lightning starts the other ranks as `python -m __main__`

from hourglass.core.fork_server.client import hand_over

if __name__ == "__main__" and "warm" not in globals():  # as it is in a fork that runs this command
    hand_over({"path": sys.argv[0]})

from hourglass.cli.main import program

if __name__ == "__main__":
    program()
