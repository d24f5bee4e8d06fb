"""Decide which files go to MLflow: single rows of tables do not, unless params.yaml says so."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hourglass.core.settings import params

# Files about single samples: their names, labels, scores, positions or values.
ROW_FILES = ("mistakes.csv", "mistakes.png", "attribution.png", "reconstructions.png", "map.csv")
NEVER_UPLOADED = ("synthetic.csv",)  # synthetic rows may disclose real ones


def rows_are_private(card: dict[str, Any]) -> bool:
    """Return whether the rows of a prepared data set stay in the workspace.

    The rows of a table are private unless `share_rows` in params.yaml names the data set. Bundled
    tables are no exception: a program cannot judge whether rows are public.
    """
    return bool(card["feature_names"]) and card["data"] not in params().share_rows


def uploadable_files(files: Iterable[Path], card: dict[str, Any]) -> list[str]:
    """Return the paths of those files of a cell that go to MLflow."""
    excluded = (*NEVER_UPLOADED, *ROW_FILES) if rows_are_private(card) else NEVER_UPLOADED
    return [str(path) for path in files if path.name not in excluded]
