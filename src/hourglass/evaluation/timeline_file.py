"""timeline.json: the envelope of a series' test split, small enough for the HTML page."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.atomic import write_json
from hourglass.core.suggestions import counted
from hourglass.evaluation.envelope import Grid
from hourglass.evaluation.figures.timeline import LARGEST, score_is_logarithmic
from hourglass.evaluation.metrics.events import runs
from hourglass.evaluation.timeline import Timeline

FILE = "timeline.json"
MAX_VALUES = 50_000  # of all lines; each takes 8 / 3 characters
STEPS = 65_534  # of a quantised value
NO_VALUE = STEPS + 1


def write_timeline(folder: Path, series: Timeline) -> None:
    """Write timeline.json: the lines of the channels and of the score, alarms and labels.

    Lines are minima and maxima in columns of equal duration, see `Grid`. They are quantised to
    STEPS between the ends of their panel, as base64 of little-endian uint16.
    """
    channels = series.channels()
    grid = _grid(series, 2 * len(channels) + 1)
    panels = [
        {
            "name": channel.column.name,
            "levels": channel.levels,
            **_lines(grid, {"input": channel.x, "reconstruction": channel.output}),
        }
        for channel in channels
    ]
    logarithmic = score_is_logarithmic(series.score, series.threshold)
    panels.append(
        {"name": "score", "levels": [], "logarithmic": logarithmic}
        | _lines(grid, {"score": series.score}, series.threshold, logarithmic)
    )
    content = {
        "name": series.name,
        "time": series.time_column.name,
        "is_date": series.is_date,
        "start": grid.start,
        "width": grid.width,
        "columns": len(grid),
        "rows": len(series.time),
        "worst": series.worst_stretch,
        "threshold": series.threshold,
        "panels": panels,
        "alarms": _ranges(grid.any(series.alarm)),
        "labelled": _ranges(grid.any(series.anomaly)),
        "summary": _summary(series),
    }
    write_json(folder / FILE, content)


def _grid(series: Timeline, lines: int) -> Grid:
    """Return columns of single rows, or of fewer values if a column needs two ends."""
    most = MAX_VALUES // lines
    grid = Grid.over(series.time, series.run, most, series.step)
    if len(grid.first) == len(series.time):
        return grid
    return Grid.over(series.time, series.run, most // 2, series.step)


def _lines(
    grid: Grid, lines: dict[str, np.ndarray], extra: float = np.nan, logarithmic: bool = False
) -> dict[str, Any]:
    """Return the quantised lines, (T,) each, and the ends of an axis with them and with `extra`."""
    ends = {name: np.stack(grid.low_and_high(values)) for name, values in lines.items()}
    everything = np.concatenate([*(pair.ravel() for pair in ends.values()), [extra]])
    if np.isnan(everything).all():
        everything = np.zeros(1)
    low, high = (
        float(np.clip(end(everything), -LARGEST, LARGEST)) for end in (np.nanmin, np.nanmax)
    )
    if low == high:
        low, high = low - 1, high + 1
    drawn = []
    for name, pair in ends.items():
        if np.array_equal(pair[0], pair[1], equal_nan=True):  # a column has a row at most
            pair = pair[:1]
        drawn.append({"name": name, "points": _quantised(pair, low, high, logarithmic)})
    return {"low": low, "high": high, "lines": drawn}


def _quantised(values: np.ndarray, low: float, high: float, logarithmic: bool) -> str:
    values = np.clip(values, low, high)
    if logarithmic:
        low, high, values = np.log(low), np.log(high), np.log(values)
    # Halves, because the difference of two large numbers may be infinite.
    share = (values / 2 - low / 2) / (high / 2 - low / 2)
    codes = np.where(np.isnan(share), NO_VALUE, np.rint(np.nan_to_num(share) * STEPS))
    return base64.b64encode(codes.astype("<u2").tobytes()).decode("ascii")


def _ranges(mask: np.ndarray) -> list[list[int]]:
    """Return the first column and the column after the last of each run of True."""
    return np.stack(runs(mask), 1).tolist()


def _summary(series: Timeline) -> str:
    """Return what the plot shows in words."""
    first, last = (series.time_text(series.time[i]) for i in (0, -1))
    worst, stretches = series.worst, len(runs(series.anomaly, series.run)[0])
    labelled = counted(stretches, "labelled anomaly", "labelled anomalies")
    return (
        f"{counted(len(series.time), 'row')} from {first} to {last}; "
        f"{counted(len(np.unique(series.event[series.alarm])), 'event')} with alarms"
        f"{f', {labelled}' if stretches else ''}; the highest score is "
        f"{series.score[worst]:.4g} at {series.time_text(series.time[worst])}, the threshold "
        f"{series.threshold:.4g}."
    )
