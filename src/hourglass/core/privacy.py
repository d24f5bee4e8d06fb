"""What goes to MLflow: of tables no single row, unless params.yaml asks for it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hourglass.core.settings import params

# Files about single samples: their names, labels, scores and places, or their very values.
ROWS = ("mistakes.csv", "mistakes.png", "attribution.png", "reconstructions.png", "map.csv")
NEVER = ("synthetic.csv",)  # made-up rows tell of real ones


def rows_are_private(card: dict[str, Any]) -> bool:
    """Return whether the rows of a prepared data set stay here: a table's, unless it is named.

    Those that `share_rows` in params.yaml names are uploadable_files. The rule is the same for bundled data:
    whether rows are public is not for a program to judge.
    """
    return bool(card["feature_names"]) and card["data"] not in params().share_rows


def uploadable_files(files: Iterable[Path], card: dict[str, Any]) -> list[str]:
    """Return the paths of those files of a cell that go to MLflow."""
    left_out = (*NEVER, *ROWS) if rows_are_private(card) else NEVER
    return [str(path) for path in files if path.name not in left_out]
