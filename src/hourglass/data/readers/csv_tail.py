"""Rows at the end of a text file that are no samples: empty ones, and a row of totals."""

import csv
import math
import re
from collections.abc import Sequence

import pyarrow as pa

from hourglass.data.readers.csv_stream import Blocks
from hourglass.data.readers.numbers import NumberFormat, parse_numbers

TAIL_BYTES = 1 << 16
MIN_ROWS = 50  # among which a word that occurs once in the first column is no category
TOTALS = {
    *("total", "totals", "grand total", "sum", "sums", "summe", "gesamt", "gesamtsumme"),
    *("insgesamt", "somme", "total général", "suma", "totale", "totaal"),
}


def without_tail(
    blocks: Blocks, separator: str, numbers: NumberFormat, left_out: list[str]
) -> Blocks:
    """Yield the text without empty rows and a row of totals at its end; list that in `left_out`.

    `blocks` are the rows as UTF-8, without the header.
    """
    tail, whole = b"", True
    for block in blocks:
        tail += block
        if len(tail) > TAIL_BYTES:
            yield tail[:-TAIL_BYTES]
            tail, whole = tail[-TAIL_BYTES:], False
    rows, left_out[:] = _split(tail, separator, numbers, whole)
    if rows:
        yield rows


def _split(
    tail: bytes, separator: str, numbers: NumberFormat, whole: bool
) -> tuple[bytes, list[str]]:
    """Return the rows of the end of a file, and the row of totals if there is one."""
    rows = _without_empty_rows(tail, separator)
    end = rows.rstrip(b"\r\n")
    start = max(end.rfind(b"\n"), end.rfind(b"\r")) + 1
    last = end[start:].decode(errors="replace")
    if not start or not any(word in last.lower() for word in TOTALS):
        return rows, []
    lines = rows[:start].decode(errors="replace").splitlines()[0 if whole else 1 :]
    try:
        above = [cells for cells in csv.reader(lines, delimiter=separator) if any(cells)]
        (cells,) = csv.reader([last], delimiter=separator)
    except csv.Error:  # a cell that does not end, which the reader of all rows names
        return rows, []
    if not is_total(cells, [row for row in above if len(row) == len(cells)], numbers, whole):
        return rows, []
    return _without_empty_rows(rows[:start], separator), [last]


def _without_empty_rows(rows: bytes, separator: str) -> bytes:
    """Return rows without those at the end that hold separators only."""
    empty = rb'(?<=[\r\n])(?:[ "]|%b|[\r\n])*\Z' % re.escape(separator.encode())
    return re.sub(empty, b"", rows)


def is_total(
    cells: Sequence[str], above: Sequence[Sequence[str]], numbers: NumberFormat, whole: bool
) -> bool:
    """Return whether the last row of a table holds totals; `above` are rows before it.

    Its first cell with text says so, and that word is no category: it occurs nowhere else in its
    column, and the column holds no letters, or another cell is empty that is filled in every other
    row, or a cell is the sum of its column (if `above` is the `whole` table).
    """
    filled = [i for i, cell in enumerate(cells) if cell.strip()]
    if not filled or not above or _word(cells[filled[0]]) not in TOTALS:
        return False
    column = [_word(row[filled[0]]) for row in above]
    if _word(cells[filled[0]]) in column:
        return False
    others = [i for i in range(len(cells)) if i != filled[0]]
    return (
        not any(letter.isalpha() for cell in column for letter in cell)
        or (filled[0] == 0 and len(above) >= MIN_ROWS)
        or any(not cells[i].strip() and all(row[i].strip() for row in above) for i in others)
        or (whole and any(_is_sum(cells[i], [row[i] for row in above], numbers) for i in others))
    )


def _is_sum(cell: str, column: Sequence[str], numbers: NumberFormat) -> bool:
    total, *values = parse_numbers(pa.array([cell, *column]), numbers).to_pylist()
    found = [value for value in values if value is not None]
    return total is not None and len(found) > 1 and math.isclose(total, sum(found), rel_tol=1e-3)


def _word(cell: str) -> str:
    return cell.strip().rstrip(":").strip().lower()
