"""The command line, derived from the signatures and docstrings of the stage functions."""

import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:  # `python src/hourglass`, as dvc.yaml runs it: the code beside this file
    sys.path[0] = str(Path(__file__).parents[1])
    __spec__ = None  # else Lightning starts the other ranks as `python -m __main__`

from hourglass.warm.client import hand_over

if __name__ == "__main__" and "warm" not in globals():  # as it is in a fork that runs this command
    hand_over({"path": sys.argv[0]})

from jsonargparse import ActionYesNo, ArgumentParser

from hourglass.classify import classify
from hourglass.drift.command import drift
from hourglass.errors import Refusal, of_the_system
from hourglass.export import export
from hourglass.promote import promote
from hourglass.record import record
from hourglass.repro import repro
from hourglass.restore import restore
from hourglass.score import score
from hourglass.search import search
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.cells import cells
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references
from hourglass.stages.study import study
from hourglass.stages.train import train
from hourglass.suspects import suspects
from hourglass.tune import tune
from hourglass.turns import turn
from hourglass.verify import verify

VERBS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "cells": cells,
    "train": train,
    "calibrate-threshold": calibrate_threshold,
    "evaluate": evaluate,
    "baselines": baselines,
    "references": references,
    "study": study,
    "compare": compare,
    "record": record,
    "repro": repro,
    "score": score,
    "drift": drift,
    "restore": restore,
    "search": search,
    "tune": tune,
    "classify": classify,
    "suspects": suspects,
    "verify": verify,
    "promote": promote,
    "export": export,
}


def main() -> None:
    """Run one verb; bad input ends in one sentence and status 1."""
    if not set(sys.argv[1:2]) & VERBS.keys():
        _overview().parse_args()
    function = VERBS[sys.argv[1]]
    verb = ArgumentParser(
        prog=f"hourglass {sys.argv[1]}",
        description=(function.__doc__ or "").split("\n\n    Args:")[0],
    )
    _add_arguments(verb, function)
    arguments = verb.parse_args(sys.argv[2:])
    try:
        with turn(sys.argv[1], arguments.as_dict()):
            function(**arguments.as_dict())
    except Refusal as refusal:
        sys.exit(f"hourglass: {refusal}")
    except Exception as error:
        sentence = of_the_system(error)
        if sentence is None:
            raise
        sys.exit(f"hourglass: {sentence}")


def _overview() -> ArgumentParser:
    """Return a parser that lists the verbs, and refuses what is none; it knows no arguments."""
    parser = ArgumentParser(prog="hourglass", description="Every autoencoder, on equal terms.")
    verbs = parser.add_subcommands(required=True, dest="verb", metavar="VERB")
    for name, function in VERBS.items():
        verbs.add_subcommand(name, ArgumentParser(), help=(function.__doc__ or "").split("\n")[0])
    return parser


def _add_arguments(verb: ArgumentParser, function: Callable[..., Any]) -> None:
    """Add a function's arguments, by position where they are required, and a cell's in any case.

    A switch is `--name`, or `--no_name` where it is on by itself.
    """
    parameters = inspect.signature(function).parameters
    given = {
        key: each.default for key, each in parameters.items() if each.default is not each.empty
    }
    optional = [name for name in ("data", "model") if name in given]
    switches = [name for name, each in parameters.items() if each.annotation in (bool, "bool")]
    skipped: set[str | int] = {*switches, *optional}
    verb.add_function_arguments(function, as_positional=True, skip=skipped)
    for each in optional:
        meaning = _meaning(function, each)
        verb.add_argument(each, nargs="?", type=str, default=given[each], help=meaning)
    for name in switches:
        default, meaning = parameters[name].default, _meaning(function, name)
        verb.add_argument(f"--{name}", action=ActionYesNo, default=default, help=meaning)


def _meaning(function: Callable[..., Any], name: str) -> str:
    """Return what the docstring says of an argument."""
    found = re.search(rf"^ +{name}: (.*)$", function.__doc__ or "", re.MULTILINE)
    return found.group(1) if found else ""


def program() -> None:
    """Run the verb that the command line names, as a process that ends with it."""
    main()
    if _alone():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # all is written; to take torch and Lightning apart would cost a second or two


def _alone() -> bool:
    """Return whether no other process is to end with this one: a rank, or torch's compilers."""
    ranks = {"WORLD_SIZE", "SLURM_NTASKS"} & os.environ.keys()
    return not ranks and "torch._inductor.async_compile" not in sys.modules


if __name__ == "__main__":
    program()
