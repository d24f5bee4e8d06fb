"""Readers of JSON lines and of spreadsheets: columns of text, as in CSV files."""

import csv
import datetime
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.csv_stream import (
    BlockFile,
    detect_compression,
    detect_encoding,
    open_file,
    read_blocks,
)
from hourglass.data.readers.csv_tables import open_csv
from hourglass.data.readers.file_table import Batches, FileTable
from hourglass.data.readers.read_options import ReadOptions

CHUNK_ROWS = 1 << 14
MIDNIGHT = datetime.time()


def open_json(path: Path, options: ReadOptions) -> FileTable:
    """Return the table in a file with a JSON object per line, or with a list of objects.

    The columns are the keys of all objects. Nested values stay JSON text. Raises a UserError if a
    line holds no JSON object, or if there is none.
    """
    encoding = options.encoding or detect_encoding(partial(open_file, path))
    names = dict[str, None]()
    for row in _objects(path, encoding):
        names.update(dict.fromkeys(row))
    if not names:
        raise UserError(f"{path} is empty; give a JSON object per line.")

    def read(columns: Sequence[str]) -> Batches:
        rows = _objects(path, encoding)
        while chunk := list(islice(rows, CHUNK_ROWS)):
            cells = [[_json_text(row.get(name)) for row in chunk] for name in columns]
            arrays = [pa.array(column, pa.string()) for column in cells]
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))

    form = {"kind": "JSON lines", "encoding": encoding, "compression": detect_compression(path)}
    return FileTable(path, list(names), form, read, decimal=".", thousands=options.thousands)


def open_sheet(path: Path, options: ReadOptions) -> FileTable:
    """Return the table in a sheet of a spreadsheet: the first one, or that of the options.

    The cells are read as those of a CSV file, so a header, titles above it and a row of totals are
    recognised alike. Dates are ISO 8601.
    """
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(path))
        name = _sheet_name(path, workbook.sheet_names, options.sheet)
        rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, python_calamine.PasswordError) as error:
        raise UserError(
            f"{path} cannot be read as a spreadsheet ({one_line(error)}); save it again, or as CSV."
        ) from error
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_sheet_text(cell) for cell in row] for row in rows)
    content = text.getvalue().encode()
    as_csv = replace(options, sep=",", decimal=options.decimal or ".", encoding="utf-8")
    table = open_csv(path, as_csv, lambda: io.BytesIO(content))
    form = {key: table.format[key] for key in ("header", "renamed", "skipped_lines")}
    return replace(table, format={"kind": "spreadsheet", "sheet": name, **form})


def _objects(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines, or of one list."""
    blocks = read_blocks(partial(open_file, path), encoding)
    with io.BufferedReader(BlockFile(blocks)) as file:
        if file.peek(64).lstrip()[:1] == b"[":
            try:
                values = orjson.loads(file.read())
            except orjson.JSONDecodeError as error:
                raise UserError(f"{path} holds no valid JSON ({one_line(error)}).") from error
            numbered = enumerate(values, 1)
        else:
            lines = (line for line in file if line.strip())
            numbered = enumerate((_parsed(line) for line in lines), 1)
        for row, value in numbered:
            if not isinstance(value, dict):
                raise UserError(
                    f'Row {row} of {path} is no JSON object such as {{"flow": 1.5}}; correct it or '
                    "remove it."
                )
            yield value


def _parsed(line: bytes) -> Any:
    """Return the value of a line; None if it is no JSON."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    return repr(value) if type(value) in (int, float) else orjson.dumps(value).decode()


def _sheet_name(path: Path, names: Sequence[str], sheet: str | int | None) -> str:
    if isinstance(sheet, int) and 1 <= sheet <= len(names):
        return names[sheet - 1]
    if sheet is None and names:
        return names[0]
    if sheet in names:
        return str(sheet)
    raise UserError(f"{path} has no sheet {sheet!r}; name one of {', '.join(map(repr, names))}.")


def _sheet_text(value: Any) -> str:
    """Return the text of a cell, as a CSV file would hold it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == MIDNIGHT:
        return value.date().isoformat()
    return str(value)
