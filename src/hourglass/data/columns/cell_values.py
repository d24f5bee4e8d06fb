"""Codes of cells as people read them: numbers, levels, truth values and dates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.data.columns.column import NUMBER, Column

if TYPE_CHECKING:
    import pandas as pd

OTHER = "(other)"  # a category that is rare or does not occur in the train split
DATE_RANGE = (-2.2e11, 2.5e11)  # seconds since 1970 of the years 1 and 9999, roughly


def cell_frame(x: np.ndarray, columns: Sequence[Column], index: Any = None) -> "pd.DataFrame":
    """Return codes, (N, C), as a DataFrame with the values of the cells."""
    import pandas as pd

    values = {column.name: cell_values(x[:, i], column) for i, column in enumerate(columns)}
    return pd.DataFrame(values, index)


def cell_values(codes: np.ndarray, column: Column) -> np.ndarray:
    """Return the values of a column, (N,): float64, datetime64, or text with None if missing.

    An entity has the number that stands for its name.
    """
    if column.kind in ("numeric", "entity") or column.date_format == NUMBER:
        return codes
    if column.kind in ("datetime", "time"):
        seconds = np.clip(codes, *DATE_RANGE)
        missing = np.isnan(seconds)
        dates = np.where(missing, 0, seconds).round().astype("datetime64[s]")
        dates[missing] = np.datetime64("NaT")
        return dates
    names = np.array([*level_names(column), None], object)
    return names[np.where(np.isnan(codes), len(names) - 1, codes).astype(int)]


def level_names(column: Column) -> list[str]:
    """Return the texts of a category's or a boolean's codes."""
    if column.kind == "boolean":
        return list(column.levels) or ["0", "1"]
    return [*column.levels, OTHER]


def number_texts(values: np.ndarray, digits: int = 7) -> pa.Array:
    """Return numbers, (N,), as texts with `digits` significant digits or the whole integer part."""
    size = np.abs(values)
    with np.errstate(all="ignore"):
        power = np.maximum(10.0 ** (digits - 1 - np.floor(np.log10(size))), 1)
        rounded = np.where((size > 1e-15) & (size < 1e15), np.round(values * power) / power, values)
    texts = pc.cast(pa.array(rounded), pa.string())  # ten times as fast as Python
    unusual = ((size >= 1e3) & (size < np.inf)) | ((size > 0) & (size <= 1e-15))
    if not unusual.any():
        return texts
    formatted = [_unusual_number(value, digits) for value in rounded[unusual].tolist()]
    return pc.replace_with_mask(texts, pa.array(unusual), pa.array(formatted, pa.string()))


def _unusual_number(value: float, digits: int) -> str:
    """Return a large number with separators of thousands, or one with an exponent."""
    if not 1 <= abs(value) < 1e12:
        return f"{value:.{digits}g}"
    return f"{value:,.0f}" if value.is_integer() else f"{value:,}"


def date_texts(seconds: np.ndarray) -> pa.Array:
    """Return dates, (N,), as texts in UTC; without a time of day at midnight."""
    dates = cell_values(seconds, Column("", "datetime"))
    texts = np.char.replace(np.datetime_as_string(dates, "m"), "T", " ")
    return pa.array(np.char.replace(texts, " 00:00", ""), pa.string())
