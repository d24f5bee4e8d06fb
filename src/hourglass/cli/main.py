"""The command line, derived from the signatures and docstrings of commands and stages."""

import difflib
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
from hourglass.cli.ui import ui
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

# The commands by group, in the order of the help; a command is named after its function.
GROUPS: dict[str, tuple[Callable[..., Any], ...]] = {
    "use a trained model": (score, drift, search, restore, classify, label_errors, promote, export),
    "run the pipeline": (repro, tune, record, ui, verify),
    "run one stage of the pipeline, as DVC does": (
        prepare,
        snapshot,
        train,
        calibrate_threshold,
        evaluate,
        baselines,
        references,
        study,
        compare,
    ),
}
COMMANDS = {
    function.__name__.replace("_", "-"): function
    for functions in GROUPS.values()
    for function in functions
}
# Current command names by their names in earlier releases.
RENAMED = {"suspects": "label-errors", "cells": "snapshot"}
# Positional arguments of most commands, with their descriptions.
CELL_ARGUMENTS = {
    "data": "a data set, by the name of its file in configs/data",
    "model": "a variant, by the name of its file in configs/model",
}
USAGE = "usage: hourglass COMMAND ..."
USAGE_STATUS = 2  # exit status for an invalid command line; a UserError exits with 1


def program() -> None:
    """Run the command line; skip Python's slow exit unless other processes depend on it."""
    main()
    is_rank = bool({"WORLD_SIZE", "SLURM_NTASKS"} & os.environ.keys())
    if not (is_rank or "torch._inductor.async_compile" in sys.modules):  # compile workers
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # safe: all files are written; unloading torch takes a second


def main() -> None:
    """Run the command in sys.argv; print the message of a UserError and exit with status 1."""
    name = _command(sys.argv[1:])
    function = COMMANDS[name]
    parser = ArgumentParser(
        prog=f"hourglass {name}",
        description=(function.__doc__ or "").split("\n\n    Args:")[0],
    )
    _add_arguments(parser, function)
    arguments = parser.parse_args([_underscored(word) for word in sys.argv[2:]])
    try:
        function(**arguments.as_dict())
    except UserError as error:
        sys.exit(f"hourglass: {error}")
    except Exception as error:
        message = operating_system_error(error)
        if message is None:
            raise
        sys.exit(f"hourglass: {message}")


def _command(words: list[str]) -> str:
    """Return the name of the command; exit with a message for help or an unknown command."""
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), file=sys.stdout if words else sys.stderr)
        sys.exit(0 if words else USAGE_STATUS)
    name = words[0].replace("_", "-")
    if name in RENAMED:
        print(f"hourglass: `{name}` is now called `{RENAMED[name]}`.", file=sys.stderr, flush=True)
        name = RENAMED[name]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {close[0]!r}?" if close else "`hourglass --help` lists the commands."
        print(f"{USAGE}\nhourglass: unknown command {words[0]!r}; {hint}", file=sys.stderr)
        sys.exit(USAGE_STATUS)
    return name


def _overview() -> str:
    """Return the text of `hourglass --help`: the commands by group, each with its summary line."""
    lines = [f"{USAGE}\n", "Train, calibrate, evaluate, tune and compare autoencoders."]
    names = {function: name for name, function in COMMANDS.items()}
    width = max(map(len, COMMANDS))
    for title, functions in GROUPS.items():
        lines.append(f"\n{title}:")
        for function in functions:
            summary = (function.__doc__ or "").splitlines()[0]
            lines.append(f"  {names[function]:{width}}  {summary}")
    lines.append("\n`hourglass COMMAND --help` describes the arguments of a command.")
    return "\n".join(lines)


def _underscored(word: str) -> str:
    """Replace hyphens with underscores in the name of an option; return other words unchanged."""
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if word.startswith("--") else word


def _add_arguments(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """Add the parameters of a function to its parser.

    Required parameters, `data` and `model` are positional; all others are options. A boolean
    parameter `name` becomes the options `--name` and `--no_name`.
    """
    parameters = inspect.signature(function).parameters
    positional = [name for name in CELL_ARGUMENTS if name in parameters]
    switches = [name for name, value in parameters.items() if value.annotation in (bool, "bool")]
    for name in positional:
        meaning, default = _description(function, name), parameters[name].default
        optional = {} if default is inspect.Parameter.empty else {"nargs": "?", "default": default}
        parser.add_argument(name, type=str, help=meaning or CELL_ARGUMENTS[name], **optional)
    parser.add_function_arguments(function, as_positional=True, skip={*positional, *switches})
    for name in switches:
        meaning, default = _description(function, name), parameters[name].default
        parser.add_argument(f"--{name}", action=ActionYesNo, default=default, help=meaning)


def _description(function: Callable[..., Any], name: str) -> str:
    """Return the description of an argument in a docstring, joined to one line."""
    pattern = rf"^ +{name}: (.*(?:\n {{12,}}\S.*)*)$"
    match = re.search(pattern, function.__doc__ or "", re.MULTILINE)
    return " ".join(match.group(1).split()) if match else ""
