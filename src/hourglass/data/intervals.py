"""Labelled intervals of a series: the stretches of time that are anomalous."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import quote, suggest_names
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.readers.table_paths import file_stem
from hourglass.data.readers.table_source import TableSource
from hourglass.data.readers.user_files import resolve_path

# Start and end, both inclusive, as codes of times, and the code of the entity, NaN for all.
Interval: TypeAlias = tuple[float, float, float]

FILE = "file"  # as the column of entities: each row's file, see `ReadOptions.file_column`


def read_intervals(
    intervals: str | Sequence[Sequence[Any]],
    column: Column,
    source: TableSource,
    entity: str | None = None,
) -> list[Interval]:
    """Return the intervals of a list, or of a file, see `read_interval_file`.

    `column` tells how times are read, and `entity` is the column of entities. Raises a UserError
    for an interval that cannot be read.
    """
    where = "`intervals`"
    if isinstance(intervals, str):
        path = resolve_path(intervals)
        where, intervals = str(path), read_interval_file(path, source.files, entity)
        if not intervals:
            raise UserError(f"{where} names no interval; add one, or omit `intervals`.")
    found = []
    for interval in intervals:
        _require_pair(interval, where)
        start, end = (_time(value, column, where) for value in interval[:2])
        if not start <= end:
            raise UserError(f"{where} holds {quote(interval)}, which ends before it starts.")
        code = np.nan
        if entity is not None and len(interval) > 2:
            names = pa.record_batch({entity: pa.array([str(interval[2])])})
            code = float(codes(names, [Column(entity, "entity")], where)[0, 0])
        found.append((start, end, code))
    return found


def in_intervals(
    time: np.ndarray, entity: np.ndarray | None, intervals: Sequence[Interval], source: object
) -> np.ndarray:
    """Return the mask, (T,) bool, of the rows in one of the intervals.

    `time` and `entity` hold codes, (T,). Raises a UserError if an interval holds no row, as it was
    most likely written for another file.
    """
    anomaly = np.zeros(len(time), bool)
    for start, end, code in intervals:
        inside = (time >= start) & (time <= end)
        if entity is not None and not np.isnan(code):
            inside &= entity == code
        if not inside.any():
            raise UserError(
                f"`intervals` names one from {start:.15g} to {end:.15g} (as seconds since 1970, if "
                f"dates), in which {source} has no row; correct it."
            )
        anomaly |= inside
    return anomaly


def read_interval_file(
    path: Path, files: Sequence[Path], entity: str | None = None
) -> list[list[Any]]:
    """Return the intervals in a .json or .csv file, [start, end] or [start, end, entity].

    A .json file holds a list of intervals, or an object with such a list per entity, or per name of
    a file; only the lists of `files` count. A .csv file has a column of starts and one of ends, and
    one of entities if the header names it like `entity`, or third without a header. The name of a
    file is the entity of its intervals if `entity` is FILE.
    """
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
            values = _joined_lists(values, path, files, entity)
        if not isinstance(values, list):
            raise UserError(f"{path} holds no list of [start, end]; correct it.")
        for interval in values:
            _require_pair(interval, path)
        return values
    lines = text.splitlines()
    separator = ";" if lines and ";" in lines[0] else ","
    rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    names = [name.strip() for name in rows[0]] if rows else []
    if entity in names:
        place = names.index(entity)
        return [[*row[:place], *row[place + 1 :]][:2] + row[place : place + 1] for row in rows[1:]]
    has_header = not any(character.isdigit() for character in "".join(names[:2]))
    return [row[:2] for row in rows[1:]] if has_header else list(rows)


def _joined_lists(
    lists: dict[str, Any], path: Path, files: Sequence[Path], entity: str | None
) -> list[Any] | None:
    """Return the intervals of the lists that count, with their entity; None if one is no list."""
    by_file = {file.name: file_stem(file) for file in files}
    listed = [name for name in by_file if name in lists]
    owners: list[str | None]
    if listed:
        owners = [by_file[name] if entity == FILE else None for name in listed]
    elif entity is not None:
        listed = list(lists)
        owners = [*listed]
    else:
        raise UserError(
            f"{path} has no list for {quote(files[0].name)}: {suggest_names(files[0].name, lists)};"
            " name the lists like the files of the series."
        )
    joined = []
    for name, owner in zip(listed, owners, strict=True):
        if not isinstance(lists[name], list):
            return None
        for interval in lists[name]:
            _require_pair(interval, path)
            joined.append([*interval[:2], *([] if owner is None else [owner])])
    return joined


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
