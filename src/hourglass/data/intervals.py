"""Labelled intervals of a series: the stretches of time that are anomalous."""

import csv
import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import quote, suggest_names
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.readers.table_source import TableSource
from hourglass.data.readers.user_files import resolve_path

Interval: TypeAlias = tuple[float, float]  # start and end, both inclusive, as codes of times


def read_intervals(
    intervals: str | Sequence[Sequence[Any]], column: Column, source: TableSource
) -> list[Interval]:
    """Return the intervals of a list, or of a .json or .csv file.

    A .json file holds a list of [start, end], or an object with such a list per name of a file. A
    .csv file has a start and an end in its first two columns, with or without a header. `column`
    tells how times are read. Raises a UserError for an interval that cannot be read.
    """
    where = "`intervals`"
    if isinstance(intervals, str):
        path = resolve_path(intervals)
        where, intervals = str(path), read_interval_file(path, [file.name for file in source.files])
        if not intervals:
            raise UserError(f"{where} names no interval; add one, or omit `intervals`.")
    found = []
    for interval in intervals:
        _require_pair(interval, where)
        start, end = (_time(value, column, where) for value in interval[:2])
        if not start <= end:
            raise UserError(f"{where} holds {quote(interval)}, which ends before it starts.")
        found.append((start, end))
    return found


def in_intervals(time: np.ndarray, intervals: Sequence[Interval], source: object) -> np.ndarray:
    """Return the mask, (T,) bool, of the times in one of the intervals.

    Raises a UserError if an interval holds no row, as it was most likely written for another file.
    """
    anomaly = np.zeros(len(time), bool)
    for start, end in intervals:
        inside = (time >= start) & (time <= end)
        if not inside.any():
            raise UserError(
                f"`intervals` names one from {start:.15g} to {end:.15g} (as seconds since 1970, if "
                f"dates), in which {source} has no row; correct it."
            )
        anomaly |= inside
    return anomaly


def read_interval_file(path: Path, names: Sequence[str]) -> list[list[Any]]:
    """Return the intervals in a file, those of the files `names` if it has several lists."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(
            f"{path} is no text in UTF-8 ({one_line(error)}); name a .csv or .json file."
        ) from None
    if path.suffix.lower() == ".json":
        try:
            values = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is no JSON ({error}); correct it.") from None
        if isinstance(values, dict):
            listed = [name for name in names if name in values]
            if not listed:
                raise UserError(
                    f"{path} has no list for {quote(names[0])}: {suggest_names(names[0], values)}; "
                    "name the lists like the files of the series."
                )
            found = [values[name] for name in listed]
            values = list(chain(*found)) if all(isinstance(each, list) for each in found) else None
        if not isinstance(values, list):
            raise UserError(f"{path} holds no list of [start, end]; correct it.")
        for interval in values:
            _require_pair(interval, path)
        return values
    lines = text.splitlines()
    separator = ";" if lines and ";" in lines[0] else ","
    rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    has_header = rows and not any(character.isdigit() for character in "".join(rows[0][:2]))
    return list(rows[1:] if has_header else rows)


def _require_pair(interval: Any, where: object) -> None:
    if not isinstance(interval, list | tuple) or len(interval) < 2:
        raise UserError(f"{where} holds {quote(interval)}, but an interval is [start, end].")


def _time(value: Any, column: Column, where: str) -> float:
    """Return the code of a time, read as in the column of times."""
    batch = pa.record_batch({column.name: pa.array([str(value)])})
    try:
        code = float(codes(batch, [column], where)[0, 0])
    except UserError:
        code = np.nan
    if np.isnan(code):
        raise UserError(f"{where} holds the time {quote(str(value))}, which cannot be read.")
    return code
