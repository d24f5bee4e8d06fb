"""Codes of the cells of a table, column by column, from record batches or DataFrames."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.core.errors import UserError
from hourglass.core.suggestions import quote, suggest_names
from hourglass.data.columns.arrow_cells import (
    ISO,
    MARKERS,
    canonical,
    dates,
    form_of,
    is_missing,
    numbers,
    plain,
    take_values,
    texts,
    truths,
)
from hourglass.data.columns.column import NUMBER, Column, Kind
from hourglass.data.frames import frame_batches
from hourglass.data.readers.numbers import NumberFormat

if TYPE_CHECKING:
    import pandas as pd

EXPECTED: dict[Kind, str] = {
    "numeric": "a number",
    "boolean": "a truth value",
    "datetime": "a date",
    "categorical": "a category",
    "time": "a time",
}


def codes(
    batch: "pa.RecordBatch | pd.DataFrame",
    columns: Sequence[Column],
    source: object = "the table",
    first_row: int = 1,
    number_format: NumberFormat = NumberFormat(),
) -> np.ndarray:
    """Return the codes of the cells, (N, C) float64; NaN is a missing cell.

    Columns are found by name, in any order; others are ignored. Cells of another type are converted
    if nothing is lost. `source` names the table, and `first_row` the first row, in messages.
    `number_format` is the format of numbers in text columns. Raises a UserError for a missing
    column, unless it is optional, and for a cell that has no code.
    """
    if not isinstance(batch, pa.RecordBatch):
        blocks = [
            codes(part, columns, source, first_row + start, number_format)
            for start, part in frame_batches(batch)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, len(columns)))
    places = column_places(batch.schema.names, columns, source)
    result = np.empty((len(batch), len(columns)), np.float64)
    for i, (column, place) in enumerate(zip(columns, places, strict=True)):
        if place is None:
            result[:, i] = np.nan
        else:
            cells = plain(batch.column(place))
            result[:, i] = _column_codes(cells, column, source, first_row, number_format)
    return result


def column_places(
    names: Sequence[str], columns: Sequence[Column], source: object
) -> list[int | None]:
    """Return the position of each column among `names`; None for an optional one that is missing.

    Raises a UserError for a missing column that is not optional, and for a name that occurs twice.
    """
    place_of: dict[str, int] = {}
    twice = set()
    for i, name in enumerate(names):
        twice |= {name} & place_of.keys()
        place_of[name] = i
    for column in columns:
        if column.name in twice:
            raise UserError(f"{source} has two columns named {column.name!r}; rename one of them.")
        if column.name not in place_of and not column.optional:
            missing = [c.name for c in columns if not c.optional and c.name not in place_of]
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(
                f"{source} has no column {column.name!r}{more}: "
                f"{suggest_names(column.name, names)}; give every feature that the detector was "
                "trained on, in any order, except optional ones."
            )
    return [place_of.get(column.name) for column in columns]


def present_columns(
    names: Sequence[str], columns: Sequence[Column], source: object
) -> list[Column]:
    """Return the columns that are among `names`; raises the errors of `column_places`."""
    places = column_places(names, columns, source)
    return [column for column, place in zip(columns, places, strict=True) if place is not None]


def _column_codes(
    cells: pa.Array, column: Column, source: object, first_row: int, number_format: NumberFormat
) -> np.ndarray:
    if column.kind == "categorical":
        return _level_codes(cells, column)
    if column.kind == "entity":
        return _hashes(cells)
    missing = is_missing(cells, column.missing_values)
    if column.kind == "time" and column.date_format == NUMBER:
        values = numbers(cells, number_format)
    elif column.kind == "numeric":
        values = numbers(cells, number_format)
        if form_of(cells.type) == "text" and (np.isnan(values) & ~missing).any():
            values = np.where(np.isnan(values), truths(cells), values)
    elif column.kind == "boolean":
        values = truths(cells, column.levels)
    else:
        values = dates(cells, column.date_format or ISO)
    bad = np.flatnonzero(np.isnan(values) & ~missing)
    if len(bad) and not column.coerce:
        row = int(bad[0])
        raise UserError(
            f"Column {column.name!r} of {source} holds {quote(_shown(cells[row]))} in row "
            f"{first_row + row} instead of {EXPECTED[column.kind]}; correct it, or leave the cell "
            "empty, which means missing."
        )
    values[missing] = np.nan
    return values


def _level_codes(cells: pa.Array, column: Column) -> np.ndarray:
    """Return the index of each cell's level; their number for other values, NaN if missing."""
    names = texts(cells)
    missing = is_missing(cells, column.missing_values)
    marker_levels = [level for level in column.levels if level in MARKERS]
    if marker_levels:  # most cells of the column held this marker, so it is a level
        missing &= ~np.asarray(pc.is_in(names, value_set=pa.array(marker_levels)))
    encoded = names.dictionary_encode()
    unique = encoded.dictionary
    levels = pa.array(column.levels, pa.string())
    exact = pc.index_in(unique, value_set=levels)
    if exact.null_count:  # 1, 1.0 and "1" are equal, and so are True and "true"
        equal = pc.index_in(canonical(unique), value_set=canonical(levels))
        exact = pc.coalesce(exact, equal)
    found = pc.fill_null(exact, len(column.levels))
    values = take_values(found.to_numpy(zero_copy_only=False).astype(np.float64), encoded)
    values[missing] = np.nan
    return values


def _hashes(cells: pa.Array) -> np.ndarray:
    """Return a number of 48 bits for each text; equal texts have equal numbers."""
    encoded = pc.fill_null(texts(cells), "").dictionary_encode()
    digests = [blake2b(text.encode(), digest_size=6) for text in encoded.dictionary.to_pylist()]
    unique = np.array([int.from_bytes(digest.digest()) for digest in digests], np.float64)
    return unique[encoded.indices.to_numpy()]


def _shown(cell: pa.Scalar) -> str:
    return str(cell.as_py())
