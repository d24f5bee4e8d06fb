"""Reader of whole tables into memory; error messages name the invalid cell.

Rows are counted from 1 without the header, in messages and in ids.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_numeric_dtype, is_object_dtype, is_string_dtype

from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.readers.table_source import (
    MISSING_MARKERS,
    NumberFormat,
    open_table,
    parse_numbers,
)

DAY_FIRST = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")
LARGEST = np.finfo(np.float32).max  # features are float32


def read_table(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table of any format into memory; the index is the row number.

    The columns in `text` of a text file are read as text, so "007" stays "007". In other columns,
    the cells MISSING_MARKERS are NaN. Raises a UserError as `open_table` does.
    """
    source = open_table(path)
    table = pa.Table.from_batches(list(source.batches()))
    if source.text:
        columns = {
            name: _parsed(table[name].combine_chunks(), name in text, source.numbers)
            for name in source.names
        }
        frame = pd.DataFrame(columns)
    else:
        frame = table.to_pandas()
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame


def require_columns(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Raise a UserError if one of the columns `names` is missing."""
    for name in names:
        if name not in frame.columns:
            raise UserError(
                f"{path} has no column {name!r}: {suggest_names(name, frame.columns)}; name one "
                "of its columns."
            )


def feature_matrix(frame: pd.DataFrame, names: Sequence[str], path: Path) -> np.ndarray:
    """Return the columns `names` as (N, C) float64; raises a UserError that names a bad cell."""
    x = np.empty((len(frame), len(names)), dtype=np.float64)
    for i, name in enumerate(names):
        x[:, i] = number_column(frame, name, path)
    return x


def number_column(
    frame: pd.DataFrame, name: str, path: Path, expected: str = "a finite number"
) -> np.ndarray:
    """Return a column as (N,) float64, all finite and within float32, or raise a UserError."""
    column = frame[name]
    values = np.full(len(column), np.nan)
    # Dates and durations are not numbers, although pandas would convert them.
    if is_numeric_dtype(column) or is_object_dtype(column) or is_string_dtype(column):
        with suppress(TypeError, ValueError, OverflowError):  # lists, mappings and the like
            numbers = pd.to_numeric(column, errors="coerce")
            # A copy, since pandas' own arrays are read-only.
            values = numbers.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    invalid = np.flatnonzero(~(np.abs(values) <= LARGEST))
    if len(invalid):
        row = invalid[0]
        missing, cell = column.isna().iloc[row], str(column.iloc[row])
        problem = "is empty or NaN" if missing else f"holds {cell[:40]!r}"
        raise UserError(
            f"Column {name!r} of {path} {problem} in row {column.index[row]} instead of "
            f"{expected}; correct it, or remove the column or the row."
        )
    return values


def text_column(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """Return a column as (N,) str; raises a UserError if a cell is empty."""
    empty = np.flatnonzero(frame[name].isna())
    if len(empty):
        raise UserError(
            f"Column {name!r} of {path} is empty in row {frame.index[empty[0]]}; fill it in or "
            "remove the row."
        )
    return np.array([str(value) for value in frame[name]])


def time_column(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """Return times as (N,) float64: numbers unchanged, dates in seconds since 1970."""
    column = frame[name]
    dates = None if is_numeric_dtype(column) else parsed_dates(column)
    if dates is None:
        expected = "a number or a date such as 2026-12-31 23:59 or 31.12.2026 23:59"
        return number_column(frame, name, path, expected)
    return ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(1, "s")).to_numpy(copy=True)


def parsed_dates(column: pd.Series) -> pd.Series | None:
    """Return dates in UTC; None unless all cells are ISO 8601 dates, or such as 31.12.2026 23:59.

    Dates with slashes are not read, since 01/02 has two meanings.
    """
    for form in ("ISO8601", *DAY_FIRST):
        dates = pd.to_datetime(column, errors="coerce", utc=True, format=form)
        if dates.notna().all():
            return dates
    return None


def _parsed(cells: pa.Array, text: bool, numbers: NumberFormat) -> pd.Series:
    """Return numbers if all cells are, truth values if all cells are, and text otherwise."""
    if text:
        return cells.to_pandas()
    missing = pc.is_in(cells, pa.array(MISSING_MARKERS, cells.type))
    cells = pc.if_else(missing, pa.scalar(None, cells.type), cells)
    values = parse_numbers(cells, numbers)
    if values.null_count > cells.null_count:
        truths = {value.lower() for value in cells.unique().to_pylist() if value is not None}
        is_boolean = truths <= {"true", "false"}
        return (cells.cast(pa.bool_()) if is_boolean else cells).to_pandas()
    with suppress(pa.ArrowInvalid):
        return cells.cast(pa.int64()).to_pandas()
    return values.to_pandas()
