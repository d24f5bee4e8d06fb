"""DVC's experiments, which are git commits below refs/exps."""

import re

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.git import git

EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # without DVC's internal refs


def experiment_with(data: str, model: str) -> str | None:
    """Return the name of the newest experiment whose grid has a cell; None if there is none."""
    newest_first = git("for-each-ref", "--sort=-creatordate", "--format=%(refname)", "refs/exps")
    for experiment in map(EXPERIMENT.fullmatch, newest_first.splitlines()):
        if experiment and _has_cell(git("show", f"{experiment[0]}:params.yaml"), data, model):
            return experiment[1]
    return None


def _has_cell(params: str, data: str, model: str) -> bool:
    """Return whether the grid of a params.yaml, which may be damaged, has a cell."""
    import yaml

    try:
        grid = load_plain_yaml(params)
    except yaml.YAMLError:
        return False
    if not isinstance(grid, dict):
        return False
    return data in (grid.get("data") or ()) and model in (grid.get("models") or ())
