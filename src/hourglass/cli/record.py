"""Command `record`: complete the MLflow runs of cells from their files."""

from hourglass.core.errors import UserError
from hourglass.core.paths import CODES, LEADERBOARD, RUNS, SHARED_PAGE, Cell, root


def record(data: str | None = None, model: str | None = None, all: bool = False) -> None:
    """Complete the MLflow run of a cell from the files of its stages.

    Use it if the tracking store is new, for example after a clone and `dvc pull`, or if the store
    was unreachable while the stages ran. It completes the runs that the stages started. A run with
    different values is not overwritten; a new run is opened instead. Prints one line per cell.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        all: record every cell in runs/, and the comparison in reports/

    Examples:
        hourglass record digits denoising
        hourglass record --all

    """
    cells, failures = _cells(data, model, all), 0
    from hourglass.core.progress_bar import ProgressBar
    from hourglass.tracking.connection import store_errors
    from hourglass.tracking.record import record_cell, record_report
    from hourglass.tracking.runs import Runs
    from hourglass.tracking.time_limit import StoreUnavailable

    try:
        with store_errors("record the cells"):
            runs = Runs(root())
        for cell in ProgressBar(cells, "record", unit=" cells"):
            try:
                with store_errors("record it"):
                    outcome = record_cell(runs, cell, thorough=True)
            except UserError as error:
                outcome, failures = f"not recorded: {error}", failures + 1
            ProgressBar.write(f"{cell.name}: {outcome}")
        if all and SHARED_PAGE.exists() and LEADERBOARD.exists() and CODES.exists():
            with store_errors("record the comparison"):
                print(f"report: {record_report(runs)}")
    except StoreUnavailable as error:
        raise UserError(
            f"{error}; nothing is lost, and `hourglass record` can be repeated."
        ) from error
    if failures:
        raise UserError(
            f"{failures} of {len(cells)} cells could not be recorded, for the reasons above."
        )


def _cells(data: str | None, model: str | None, every: bool) -> list[Cell]:
    """Return the cells selected by the arguments; raise a UserError if they select none."""
    if every and not data:
        folders = sorted({path.parent for path in RUNS.glob("*/*/train")})
        return [Cell(path.parent.name, path.name) for path in folders]
    if every or not (data and model):
        raise UserError("name a cell, `hourglass record <data> <model>`, or add `--all`.")
    Cell(data, model).require("train")
    return [Cell(data, model)]
