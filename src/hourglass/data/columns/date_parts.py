"""Parts of dates that are features: the cycles that the train split covers."""

from hourglass.data.columns.arrow_cells import TIME_OF_DAY
from hourglass.data.columns.column import Column, Part
from hourglass.data.columns.statistics import NumberStatistics

DAY = 86_400  # seconds
CYCLES: dict[Part, float] = {"hour": DAY, "weekday": 7 * DAY, "month": 365 * DAY}
MIN_COVERED = 0.9  # of a cycle


def date_parts(form: str, seconds: NumberStatistics, train_share: float = 1.0) -> tuple[Part, ...]:
    """Return the parts of dates whose cycle the train split covers; () if there is none.

    In a shorter range, every later row would be abnormal. For the same reason there is no trend.
    `train_share` is the share of the range in the train split.
    """
    if form == TIME_OF_DAY:
        return ("hour",)
    span = train_share * (seconds.most - seconds.least + DAY * seconds.midnight)
    parts = [part for part, cycle in CYCLES.items() if span >= MIN_COVERED * cycle]
    return tuple(part for part in parts if not (part == "hour" and seconds.midnight))


def parts_in_words(column: Column) -> str:
    """Return such as "hour, weekday; not month, trend"."""
    others = [part for part in (*CYCLES, "trend") if part not in column.parts]
    rest = f"; not {', '.join(others)}" if others and column.date_format != TIME_OF_DAY else ""
    return ", ".join(column.parts) + rest
