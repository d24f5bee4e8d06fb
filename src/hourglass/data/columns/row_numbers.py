"""Columns of numbers that identify or count the rows, so that they are no features."""

import re

from hourglass.data.columns.column import Reason
from hourglass.data.columns.statistics import ColumnStatistics

MIN_ROWS_OF_COUNTER = 10  # fewer rows may rise by chance
MAX_STEP_RATIO = 1.5  # of the steps of a counter, as those from month to month
TIME_NAME = re.compile(
    r"(.*[ _-])?(time|timestamp|date|datetime|epoch|year|month|week|day|hour|minute|second|seconds"
    r"|step|tick|ts|t)",
    re.IGNORECASE,
)
ID_NAME = re.compile(r"(.*[ _-])?(id|index|row|uid|uuid|guid|idx|nr|no)", re.IGNORECASE)
UNNAMED = re.compile(r"|Unnamed: \d+|__index_level_\d+__")

ROW_NUMBERS = Reason("row numbers without a name")
COUNTER = Reason("rises from row to row, as a time or a row number", "set `time` to split by it")
NUMBER_ID = Reason("a number per row", "set `id` to find the rows by it")


def number_per_row(found: ColumnStatistics) -> Reason | None:
    """Return the reason if the numbers of a column identify or count the rows, otherwise None."""
    values = found.numbers
    unique = max(found.counts.values(), default=0) == 1  # of those counted
    steps = values.count - 1
    if UNNAMED.fullmatch(found.name) and values.whole and values.rising == steps:
        return ROW_NUMBERS
    if values.count < MIN_ROWS_OF_COUNTER:
        return None
    if values.rising == steps and (
        TIME_NAME.fullmatch(found.name) or values.most_step < MAX_STEP_RATIO * values.least_step
    ):
        return COUNTER
    if not (unique and values.whole):
        return None
    consecutive = values.most - values.least == steps
    is_inexact = max(abs(values.least), abs(values.most)) >= 2**53
    if ID_NAME.fullmatch(found.name) or is_inexact or (consecutive and found.present > 50):
        return NUMBER_ID
    return None
