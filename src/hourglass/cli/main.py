"""The command line, derived from the signatures and docstrings of the commands and stages."""

import inspect
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser

from hourglass.cli.classify import classify
from hourglass.cli.drift import drift
from hourglass.cli.export import export
from hourglass.cli.label_errors import label_errors
from hourglass.cli.promote import promote
from hourglass.cli.record import record
from hourglass.cli.repro import repro
from hourglass.cli.restore import restore
from hourglass.cli.score import score
from hourglass.cli.search import search
from hourglass.cli.tune import tune
from hourglass.cli.verify import verify
from hourglass.core.errors import UserError, operating_system_error
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references
from hourglass.stages.snapshot import snapshot
from hourglass.stages.study import study
from hourglass.stages.train import train

VERBS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "snapshot": snapshot,
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
    "label-errors": label_errors,
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
        function(**arguments.as_dict())
    except UserError as refusal:
        sys.exit(f"hourglass: {refusal}")
    except Exception as error:
        sentence = operating_system_error(error)
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
