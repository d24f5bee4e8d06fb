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

GROUPS: dict[str, dict[str, Callable[..., Any]]] = {
    "use a trained model": {
        "score": score,
        "drift": drift,
        "search": search,
        "restore": restore,
        "classify": classify,
        "label-errors": label_errors,
        "promote": promote,
        "export": export,
    },
    "run the pipeline": {
        "repro": repro,
        "tune": tune,
        "record": record,
        "verify": verify,
    },
    "run one stage of the pipeline, as DVC does": {
        "prepare": prepare,
        "snapshot": snapshot,
        "train": train,
        "calibrate-threshold": calibrate_threshold,
        "evaluate": evaluate,
        "baselines": baselines,
        "references": references,
        "study": study,
        "compare": compare,
    },
}
COMMANDS = {name: function for group in GROUPS.values() for name, function in group.items()}
# Command names of earlier releases, and their current names.
RENAMED = {"suspects": "label-errors", "cells": "snapshot"}
USAGE = "usage: hourglass COMMAND ..."
USAGE_STATUS = 2  # exit status for an invalid command line; a UserError exits with 1


def main() -> None:
    """Run the command in sys.argv; print a UserError as one sentence and exit with status 1."""
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
        sentence = operating_system_error(error)
        if sentence is None:
            raise
        sys.exit(f"hourglass: {sentence}")


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
    width = max(map(len, COMMANDS))
    for title, commands in GROUPS.items():
        lines.append(f"\n{title}:")
        for name, function in commands.items():
            lines.append(f"  {name:{width}}  {(function.__doc__ or '').splitlines()[0]}")
    lines.append("\n`hourglass COMMAND --help` describes the arguments of a command.")
    return "\n".join(lines)


def _underscored(word: str) -> str:
    """Replace hyphens by underscores in the name of an option; return other words unchanged."""
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _add_arguments(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """Add the parameters of a function to its parser.

    Required parameters, `data` and `model` are positional; all others are options. A boolean
    parameter `name` becomes the options `--name` and `--no_name`.
    """
    parameters = inspect.signature(function).parameters
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not parameter.empty
    }
    optional = [name for name in ("data", "model") if name in defaults]
    switches = [name for name, each in parameters.items() if each.annotation in (bool, "bool")]
    skipped: set[str | int] = {*switches, *optional}
    parser.add_function_arguments(function, as_positional=True, skip=skipped)
    for cell_part in optional:
        meaning, default = _description(function, cell_part), defaults[cell_part]
        parser.add_argument(cell_part, nargs="?", type=str, default=default, help=meaning)
    for switch in switches:
        meaning, default = _description(function, switch), defaults[switch]
        parser.add_argument(f"--{switch}", action=ActionYesNo, default=default, help=meaning)


def _description(function: Callable[..., Any], name: str) -> str:
    """Return the description of an argument in a docstring, joined to one line."""
    pattern = rf"^ +{name}: (.*(?:\n {{12,}}\S.*)*)$"
    found = re.search(pattern, function.__doc__ or "", re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""


def program() -> None:
    """Run the command line; skip Python's slow exit unless other processes depend on it."""
    main()
    if not _has_sibling_processes():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # safe: all files are written; unloading torch takes a second


def _has_sibling_processes() -> bool:
    """Return whether other processes need a regular exit: ranks, or torch's compile workers."""
    ranks = {"WORLD_SIZE", "SLURM_NTASKS"} & os.environ.keys()
    return bool(ranks) or "torch._inductor.async_compile" in sys.modules
