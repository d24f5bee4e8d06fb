"""Command `record`: complete the MLflow runs of cells from their files."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hourglass.core.errors import UserError
from hourglass.core.paths import CODES, LEADERBOARD, RUNS, SHARED_PAGE, Cell, root
from hourglass.data.prepared import Prepared
from hourglass.tracking.cell_record import comparison, facts
from hourglass.tracking.stage_records import training_file

if TYPE_CHECKING:
    from hourglass.tracking.runs import Record

AGAIN = "nothing is lost, and `hourglass record` may be run again"


def record(data: str | None = None, model: str | None = None, all: bool = False) -> None:
    """Complete the MLflow runs of one or all cells from their files.

    For a tracking store that is empty or was unavailable: after a fresh clone and `dvc pull`, or
    after an outage of the server. Writes the same runs as the stages do. Existing values stay
    unchanged: if they differ, a new run is created beside the old one. Prints one line per cell.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        all: record every cell in runs/, and the comparison in reports/

    """
    from tqdm import tqdm

    from hourglass.tracking.runs import Record

    cells = _cells(data, model, all)
    into = _try(Record, root())
    left = 0
    with tqdm(cells, desc="record", unit="cell", disable=None) as bar:
        for cell in bar:
            done, why = _record(into, cell)
            left += bool(why)
            tqdm.write(f"{cell.name}: {why or done}")
    if all and SHARED_PAGE.exists() and LEADERBOARD.exists() and CODES.exists():
        print(f"report: {_try(into.report, **comparison())}")
    if left:
        raise UserError(
            f"{left} of {len(cells)} cells could not be recorded, for the reasons above."
        )


def _cells(data: str | None, model: str | None, every: bool) -> list[Cell]:
    """Return the selected cells."""
    if every and not data:
        found = {path.parent for path in RUNS.glob("*/*/train")}
        return [Cell(path.parent.name, path.name) for path in sorted(found)]
    if every or not (data and model):
        raise UserError("name a cell, `hourglass record <data> <model>`, or add `--all`.")
    Cell(data, model).need("train")
    return [Cell(data, model)]


def _record(into: "Record", cell: Cell) -> tuple[str, str]:
    """Record a cell; return the result, or "" and the reason why it could not be recorded."""
    try:
        cell.need("train")
        own = training_file(cell).get("data")
        if own and own != Prepared.open(cell.prepared).card["sha256"]:
            raise UserError(f"it was trained on other data than are in {cell.prepared.as_posix()}.")
        found = facts(cell)
    except UserError as error:
        return "", f"not recorded: {error}"
    done = str(_try(into.complete, **found.told(), thorough=True))
    return (f"{done}, but {' and '.join(found.stale)}" if found.stale else done), ""


def _try(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return a function's result; raise a UserError if the tracking store rejects the call."""
    from hourglass.tracking.outage import StoreUnavailable, judged
    from hourglass.tracking.store import tracking_uri

    try:
        return function(*args, **kwargs)
    except Exception as error:
        found = judged(error, "record this", tracking_uri(root()))
        sentence = f"{found}; {AGAIN}." if isinstance(found, StoreUnavailable) else str(found)
        raise UserError(sentence) from error
