"""Columns of a table with a role other than feature: labels, ids and times."""

import sys
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.core.errors import UserError
from hourglass.core.suggestions import quote
from hourglass.data.columns.arrow_cells import dates, is_missing, numbers, plain, texts
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import NUMBER, Column
from hourglass.data.columns.decision import Declared
from hourglass.data.columns.inference import infer_columns
from hourglass.data.inferred_table import InferredTable
from hourglass.data.large_arrays import new_array, parts, take_rows
from hourglass.data.readers.table_source import TableSource
from hourglass.data.streaming import release_pages

Batches = Iterable[pa.RecordBatch]


def text_cells(batches: Batches, name: str) -> np.ndarray:
    """Return a column as (N,) str, "" where a cell is empty; reads the batches twice."""
    rows, width = 0, 1
    for batch in batches:
        cells = texts(plain(batch[name]))
        rows, width = rows + len(cells), max(width, pc.max(pc.utf8_length(cells)).as_py() or 0)
    result, end = new_array((rows,), f"U{width}"), 0
    for batch in batches:
        encoded = pc.fill_null(texts(plain(batch[name])), "").dictionary_encode()
        start, end = end, end + len(encoded)
        unique = np.array(encoded.dictionary.to_pylist(), result.dtype)
        result[start:end] = unique[encoded.indices.to_numpy()]
        release_pages(result)
    return result


def time_column(batches: Batches, name: str, form: str | None, source: TableSource) -> Column:
    """Return the column of the rows' times, numbers or dates.

    `form` is the format of dates, as of strptime, if the user names one. Prints a note if the dates
    have several readings. Raises a UserError if a cell is no time.
    """
    declared = Declared(dates={name: form} if form else {}, parts={name: ["trend"]})
    decision = infer_columns(batches, [name], source.path, declared, source.numbers)[0]
    column = decision.column or Column(name)
    for note in decision.notes if column.kind == "datetime" else ():
        print(f"column {name!r} of {source.path}: {note}", file=sys.stderr)
    if column.kind not in ("numeric", "datetime") or decision.kind == "text":
        _require_times(batches, name, source)
        column = Column(name, "datetime")
    form = NUMBER if column.kind == "numeric" else column.date_format
    return Column(name, "time", date_format=form, missing_values=column.missing_values)


def role_codes(table: InferredTable, column: Column, rows: np.ndarray | None) -> np.ndarray:
    """Return the codes of one column, (N,); `rows` are the indices wanted, None for all."""
    source, values, start = table.source, new_array((table.rows,), np.float64), 0
    for batch in table.batches.only(column.name):
        found = codes(batch, [column], source.path, start + 1, source.numbers)
        values[start : start + len(found)] = found[:, 0]
        start += len(found)
    return values if rows is None else take_rows(values, rows)


def time_values(table: InferredTable, column: Column, rows: np.ndarray | None) -> np.ndarray:
    """Return times as (N,) float64: numbers unchanged, dates in seconds since 1970.

    `rows` are the indices of the rows wanted, None for all. Raises a UserError if a cell is empty,
    or no time.
    """
    name, values = column.name, role_codes(table, column, rows)
    for part in parts(values):
        empty = np.flatnonzero(np.isnan(values[part]))
        if len(empty):
            row = part.start + empty[0]
            raise UserError(
                f"Column {name!r} of {table.source.path} is empty in row "
                f"{(row if rows is None else rows[row]) + 1}, so the row has no place in time; "
                "fill it in or remove the row."
            )
    return values


def _require_times(batches: Batches, name: str, source: TableSource) -> None:
    """Raise a UserError for the first cell that is neither a number nor a date."""
    row = 0
    for batch in batches:
        cells = plain(batch[name])
        is_time = ~np.isnan(dates(cells)) | ~np.isnan(numbers(cells, source.numbers))
        bad = np.flatnonzero(~is_time & ~is_missing(cells))
        if len(bad):
            cell = str(cells[int(bad[0])].as_py())
            raise UserError(
                f"Column {name!r} of {source.path} holds {quote(cell)} in row "
                f"{row + bad[0] + 1} instead of a number or a date such as 2026-12-31 23:59 or "
                "31.12.2026 23:59; correct it, or set its format under `dates`."
            )
        row += len(batch)
