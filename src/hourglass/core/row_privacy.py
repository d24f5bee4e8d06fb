"""Privacy rules: rows of tables are not uploaded to MLflow unless params.yaml allows it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hourglass.core.settings import params

# Files with data of single samples: ids, labels, scores, codes or values.
ROW_FILES = (
    *("mistakes.csv", "mistakes.png", "attribution.png", "reconstructions.png", "map.csv"),
    *("timeline.png", "timeline_worst.png", "codes.png", "timeline.json", "events.csv"),
    "unit_samples.csv",
)
NEVER_UPLOADED = ("synthetic.csv",)  # synthetic rows may disclose real ones


def rows_are_private(card: dict[str, Any]) -> bool:
    """Return True if the rows of a prepared data set must stay in the workspace.

    The rows of a table are private unless `share_rows` in params.yaml names the data set. Bundled
    tables are no exception: a program cannot decide if rows are public.
    """
    return bool(card["feature_names"]) and card["data"] not in params().share_rows


def uploadable_files(files: Iterable[Path], card: dict[str, Any]) -> list[str]:
    """Return the paths of the files of a cell that may be uploaded to MLflow."""
    excluded = (*NEVER_UPLOADED, *ROW_FILES) if rows_are_private(card) else NEVER_UPLOADED
    return [str(path) for path in files if path.name not in excluded]
