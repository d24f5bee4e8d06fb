"""The commands of the command line: their groups, their modules and their summaries."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

# Per group, in the order of the help: the name of a command and its module. The command is the
# function of the module's name.
GROUPS: dict[str, dict[str, str]] = {
    "use on your own data": {
        "try": "cli.try_",
        "add": "cli.add",
        "score": "cli.score",
        "search": "cli.search",
        "restore": "cli.restore",
        "classify": "cli.classify",
        "label-errors": "cli.label_errors",
        "activations": "cli.activations",
    },
    "compare experiments": {
        "repro": "cli.repro",
        "tune": "cli.tune",
        "ui": "cli.ui",
    },
    "operate a workspace": {
        "init": "cli.init",
        "promote": "cli.promote",
        "export": "cli.export",
        "import": "cli.import_",
        "drift": "cli.drift",
        "verify": "cli.verify",
        "record": "cli.record",
    },
    "stages of the pipeline, which DVC runs": {
        "snapshot": "stages.snapshot",
        "prepare": "stages.prepare",
        "train": "stages.train",
        "calibrate-threshold": "stages.calibrate_threshold",
        "evaluate": "stages.evaluate",
        "baselines": "stages.baselines",
        "references": "stages.references",
        "study": "stages.study",
        "compare": "stages.compare",
    },
}
COMMANDS = {name: module for commands in GROUPS.values() for name, module in commands.items()}
# Commands that run outside a workspace.
ANYWHERE = {"init", "try"}
# Current command names by their names in earlier releases.
RENAMED = {"suspects": "label-errors", "cells": "snapshot"}


def load(name: str) -> Callable[..., Any]:
    """Import the function of a command."""
    function = COMMANDS[name].rpartition(".")[2]
    command: Callable[..., Any] = getattr(import_module(f"hourglass.{COMMANDS[name]}"), function)
    return command


def summary(name: str) -> str:
    """Return the summary line of a command's docstring, without importing its module."""
    folder, _, function = COMMANDS[name].partition(".")
    path = Path(__file__).parents[1] / folder / f"{function}.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    raise AttributeError(f"{path} has no function {function}")
