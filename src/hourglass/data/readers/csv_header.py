"""Recognition of a header: names in the first row of a table, or values."""

import re
from collections.abc import Sequence

from hourglass.data.readers.numbers import MISSING_MARKERS

NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")
INTEGER = re.compile(r"\d+")
DATE = re.compile(r"\d{1,4}[-/.:]\d{1,2}([-/.:T ].*)?")


def is_header(cells: Sequence[str], rows: Sequence[Sequence[str]], sure: bool = False) -> bool:
    """Return whether the first row holds names; `rows` are those below it.

    Text above numbers is a name. Without numbers anywhere, the first row holds names. Numbers are
    values, unless they count the columns, as 0, 1, 2 or 2019, 2020, or follow an empty cell above
    an index of different values. Numbers beside text are values if one is no whole number or occurs
    twice, if there is a date, or if the text occurs again below. With `sure`, only text above
    numbers counts.
    """
    cells = [cell.strip() for cell in cells]
    # Rows with one more cell begin with an index that has no name, or end with a separator.
    first = int(bool(rows) and len(rows[0]) == len(cells) + 1 and bool(rows[0][-1].strip()))
    columns = [
        [row[i].strip() for row in rows if i < len(row)] for i in range(first, first + len(cells))
    ]
    numbers = [cell for cell in cells if NUMBER.fullmatch(cell)]
    for cell, column in zip(cells, columns, strict=True):
        if not (cell in MISSING_MARKERS or NUMBER.fullmatch(cell)) and _are_numbers(column):
            return True
    if sure or not numbers or (len(numbers) > 1 and count_up(numbers)):
        return not sure
    if not cells[0] and all(cells[1:]) and _is_index(columns[0]):
        return True
    values = {*numbers, *MISSING_MARKERS}
    texts = [cell for cell in cells if cell not in values]
    filled = [*texts, *numbers]
    if not texts or len(set(filled)) < len(filled) or any(map(DATE.fullmatch, texts)):
        return False
    if not all(map(INTEGER.fullmatch, numbers)):
        return False
    pairs = zip(cells, columns, strict=True)
    return not any(cell in column for cell, column in pairs if cell in texts)


def _is_index(column: Sequence[str]) -> bool:
    """Return whether a column has several cells, none of them empty or equal to another."""
    return len(column) > 1 and all(column) and len(set(column)) == len(column)


def _are_numbers(column: Sequence[str]) -> bool:
    """Return whether half of the filled cells are numbers; there may be markers of missing ones."""
    filled = [cell for cell in column if cell]
    return bool(filled) and sum(map(bool, map(NUMBER.fullmatch, filled))) > len(filled) / 2


def count_up(cells: Sequence[str]) -> bool:
    """Return whether all cells are integers, each one more than that before it."""
    if not all(map(INTEGER.fullmatch, cells)):
        return False
    values = [int(cell) for cell in cells]
    return values == list(range(values[0], values[0] + len(values)))
