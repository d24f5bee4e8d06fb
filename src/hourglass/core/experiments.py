"""DVC's experiments, which are git commits below refs/exps."""

import re
import subprocess

from hourglass.core.atomic import load_plain_yaml

EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # without DVC's internal refs


def experiment_with(data: str, model: str) -> str | None:
    """Return the name of the newest experiment whose grid has a cell; None if there is none."""
    newest_first = _git("for-each-ref", "--sort=-creatordate", "--format=%(refname)", "refs/exps")
    for experiment in map(EXPERIMENT.fullmatch, newest_first.splitlines()):
        if experiment:
            grid = load_plain_yaml(_git("show", f"{experiment[0]}:params.yaml")) or {}
            if data in grid.get("data", []) and model in grid.get("models", []):
                return experiment[1]
    return None


def _git(*arguments: str) -> str:
    """Return the output of a git command, or "" if it fails."""
    try:
        process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return ""
    return "" if process.returncode else process.stdout
