"""The timeline of a cell of a series on the page: timeline.json and the texts around it."""

import json
from dataclasses import dataclass
from typing import Any

from hourglass.core.paths import Cell
from hourglass.evaluation.timeline_file import FILE


@dataclass(frozen=True)
class TimelinePlot:
    """The data of a zoomable timeline, with its description."""

    content: str  # compact JSON for the script
    name: str  # of the rows, "" if there are no others
    summary: str
    legend: str


def read_timeline(cell: Cell) -> TimelinePlot | None:
    """Return the timeline that stage `evaluate` wrote; None if the data set is no series."""
    path = cell / f"evaluate/{FILE}"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    compact = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return TimelinePlot(compact, content["name"], content["summary"], _legend(content))


def _legend(content: dict[str, Any]) -> str:
    """Return what lines and areas mean."""
    labelled = " Shaded: labelled anomalies." if content["labelled"] else ""
    rows = content["rows"] / content["columns"]
    # A column with one row is a point, one with several a range from minimum to maximum.
    coarse = f" A point is the range of about {rows:,.0f} rows." if rows >= 1.5 else ""
    return f"Dashed: the threshold. Bars below the score: alarms.{labelled}{coarse}"
