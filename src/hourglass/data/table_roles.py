"""Columns of a table with a role other than feature: labels, ids and times."""

import sys
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.core.errors import UserError
from hourglass.core.suggestions import quote
from hourglass.data.columns.arrow_cells import dates, is_missing, numbers, plain, texts
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.columns.inference import Declared, infer_columns
from hourglass.data.large_arrays import take_rows
from hourglass.data.readers.table_source import TableSource

Batches = Iterable[pa.RecordBatch]


def text_cells(batches: Batches, name: str) -> np.ndarray:
    """Return a column as (N,) str, "" where a cell is empty."""
    parts = [texts(plain(batch[name])) for batch in batches]
    column = pc.fill_null(pa.chunked_array(parts, pa.string()), "")
    encoded = column.combine_chunks().dictionary_encode()
    unique = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return take_rows(unique, encoded.indices.to_numpy())


def time_values(
    batches: Batches, name: str, form: str | None, source: TableSource, rows: np.ndarray
) -> np.ndarray:
    """Return times as (N,) float64: numbers unchanged, dates in seconds since 1970.

    `rows` are the indices of the rows wanted. `form` is the format of dates, as of strptime, if the
    user names one. Prints a note if the dates have several readings. Raises a UserError if a cell
    is empty, or no time.
    """
    declared = Declared(dates={name: form} if form else {}, parts={name: ["trend"]})
    decision = infer_columns(batches, [name], source.path, declared, source.numbers)[0]
    if decision.error:
        raise UserError(decision.error)
    column = replace(decision.column or Column(name), coerce=False)  # every row needs its time
    for note in decision.notes if column.kind == "datetime" else ():
        print(f"column {name!r} of {source.path}: {note}", file=sys.stderr)
    if column.kind not in ("numeric", "datetime") or decision.kind == "text":
        _require_times(batches, name, source)
        column = Column(name, "datetime")
    start, parts = 1, []
    for batch in batches:
        parts.append(codes(batch, [column], source.path, start, source.numbers)[:, 0])
        start += len(batch)
    values = np.concatenate(parts)[rows]
    empty = np.flatnonzero(np.isnan(values))
    if len(empty):
        raise UserError(
            f"Column {name!r} of {source.path} is empty in row {rows[empty[0]] + 1}, so the row "
            "has no place in time; fill it in or remove the row."
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
