"""`hourglass.leaderboard`: the results of all cells of a workspace as a DataFrame."""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.atomic import sha256
from hourglass.core.checksums import CORRUPT_FILE_ERRORS, file_checksums
from hourglass.core.errors import UserError
from hourglass.core.paths import RUNS, Cell, baselines_file, inside
from hourglass.data.prepared_data import Prepared
from hourglass.detection.metadata import METADATA, read_metadata
from hourglass.evaluation.report.leaderboard import baseline_rows, cell_rows

if TYPE_CHECKING:
    import pandas as pd

# Columns of whole numbers; pandas would make them floats where a baseline has no value.
WHOLE = ("latent_dim", "parameters")


def leaderboard(workspace: str | Path = ".") -> "pd.DataFrame":
    """Return a row per evaluated cell and per baseline, with the metrics on the test split.

    The rows come from the files in `runs/`, not from an earlier report: by data set, best AUROC
    first. The columns are those of `reports/leaderboard.csv`, except the comparison with PCA. Cells
    outside the grid of params.yaml are included. A cell whose data, weights or threshold have
    changed since its evaluation is left out with a warning. Raises a UserError if no cell is left.
    """
    import pandas as pd

    with inside(workspace):
        cells = [Cell(*path.parts[1:3]) for path in sorted(RUNS.glob("*/*/evaluate"))]
        current = [cell for cell in cells if _is_current(cell)]
        data = sorted({cell.data for cell in current if baselines_file(cell.data).exists()})
        rows = [next(cell_rows(cell)) for cell in current]
        rows += [row for name in data for row in baseline_rows(name)]
    if not rows:
        raise UserError(f"{Path(workspace).absolute()} has no evaluated cell; run `dvc repro`.")
    table = pd.DataFrame(rows)
    table = table.astype({name: "Int64" for name in WHOLE if name in table})
    by = ["data", "AUROC"] if "AUROC" in table else ["data"]  # some data have no labels
    return table.sort_values(by, ascending=[True, False][: len(by)], ignore_index=True)


def _is_current(cell: Cell) -> bool:
    """Return whether a cell's metrics belong to its current files; warn if they do not."""
    calibrate, train = cell.output("calibrate-threshold"), cell.output("train")
    try:
        evaluated = json.loads((cell / "evaluate/inputs.json").read_text(encoding="utf-8"))
        training = json.loads((train / "training.json").read_text(encoding="utf-8"))
        files = read_metadata(calibrate)[0]["files"]
        network = file_checksums(train, [name for name in files if (train / name).exists()])
        is_current = (
            evaluated[METADATA] == sha256(calibrate / METADATA)
            and all(files[name] == checksum for name, checksum in network.items())
            and training["data"] == Prepared.open(cell.prepared).card["sha256"]
        )
    except (*CORRUPT_FILE_ERRORS, UserError):
        is_current = False
    if not is_current:
        warnings.warn(
            f"{cell.data}/{cell.model} is left out, because its data, weights or threshold have "
            "changed since its evaluation, or a file is damaged; run `dvc repro`.",
            stacklevel=3,
        )
    return is_current
