"""Readers of whole CSV and Parquet files for `prepare`; error messages name the invalid cell.

Rows are counted from 1 without the header, in messages and in ids.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype, is_object_dtype, is_string_dtype

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import suggest_names
from hourglass.data.readers.csv_format import MISSING, detect_csv_format

SUFFIXES = (".csv", ".tsv", ".parquet")
DAY_FIRST = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")
LARGEST = np.finfo(np.float32).max  # features are float32


def read_table(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a .csv, .tsv or .parquet file with at least one row; the index is the row number.

    The columns in `text` of a CSV file are read as text, so "007" stays "007". In other columns,
    the cells MISSING are NaN. Raises a UserError if the file has another suffix, is damaged or
    empty, or has two columns of the same name.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path} ends in {suffix!r}; give a table that ends in .csv or .parquet.")
    try:
        frame = _read_parquet(path) if suffix == ".parquet" else _read_csv(path, text)
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path} is empty; give a table with a header and rows.") from error
    # pandas and Arrow raise exceptions of many types for a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as a {suffix[1:]} table ({one_line(error)}); correct the file "
            "or give another."
        ) from error
    if frame.empty:
        raise UserError(f"{path} has no rows; give a table with a header and rows.")
    duplicates = frame.columns[frame.columns.duplicated()]
    if len(duplicates):
        raise UserError(f"{path} has two columns named {duplicates[0]!r}; rename one of them.")
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


def _read_csv(path: Path, text: Sequence[str]) -> pd.DataFrame:
    form = detect_csv_format(path)
    options: dict[str, Any] = {
        "sep": form.separator,
        "encoding": form.encoding,
        "keep_default_na": False,
    }
    # The header is read separately, since pandas would rename a second column "a" to "a.1".
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, **options).iloc[0]
    with warnings.catch_warnings():
        # Make surplus fields of a row an error; pandas drops them with a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            dtype=dict.fromkeys(text, str),
            index_col=False,
            # "NA" and "None" may be names of classes.
            na_values={name: [""] if name in text else list(MISSING) for name in header},
            decimal=form.decimal,
            low_memory=False,
            **options,
        )
    names = [name or default for name, default in zip(header, frame.columns, strict=True)]
    frame.columns = pd.Index(names, dtype=object)
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    # pandas stores a named index with the table; it is a column like the others.
    frame = frame.reset_index(drop=list(frame.index.names) == [None])
    frame.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    return frame
