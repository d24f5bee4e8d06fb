"""Users' tables: one reader for all formats and for one or several files.

Rows are counted from 1 without the header, in messages and in ids.
"""

import csv
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from hourglass.core.errors import UserError, one_line, operating_system_error
from hourglass.core.suggestions import counted, suggest_names
from hourglass.data.readers.file_table import Batches, FileTable
from hourglass.data.readers.numbers import NumberFormat
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_paths import (
    ARROW,
    JSON,
    PARQUET,
    SHEETS,
    find_files,
    table_suffix,
    with_partitions,
)

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
ENCODINGS = {"cp1252": "Windows-1252 (Latin-1)", "latin-1": "Latin-1", "utf-16": "UTF-16"}
PARQUET_MAGIC = b"PAR1"
# Errors of a damaged file, by all readers.
DAMAGES = (
    *(pa.ArrowException, OSError, UnicodeError, EOFError, csv.Error),
    *(lzma.LZMAError, zlib.error, zipfile.BadZipFile),
)


@dataclass(frozen=True)
class TableSource:
    """A table in one or several files of the same columns.

    `text` says whether all columns are text, null where a cell is empty; `numbers` is the format
    of the numbers in it. Otherwise the columns have the types of the file. `path` is a file, a
    folder or a pattern.
    """

    path: Path
    names: list[str]
    tables: list[FileTable]
    numbers: NumberFormat
    # Of columns whose type differs between files.
    casts: dict[str, pa.DataType] = field(default_factory=dict)

    @property
    def text(self) -> bool:
        """Return whether all columns are text."""
        return self.tables[0].text

    @property
    def files(self) -> list[Path]:
        """Return the files, in the order of their rows."""
        return [table.path for table in self.tables]

    @property
    def format(self) -> dict[str, Any]:
        """Return the format as JSON values.

        "left_out_rows" lists rows of totals at the end of files. It is complete after the first
        pass over all batches.
        """
        marks = {"decimal": self.numbers.decimal, "thousands": self.numbers.thousands}
        left_out = [line for table in self.tables for line in table.left_out]
        form = self.tables[0].format | (marks if self.text else {})
        return form | {"files": len(self.tables), "left_out_rows": left_out}

    def batches(self, columns: Sequence[str] | None = None) -> Batches:
        """Yield the rows, with all columns or those of the given names in that order.

        Memory is bounded. Raises a UserError if a column is missing or a file is damaged.
        """
        columns, known = self.names if columns is None else columns, set(self.names)
        for name in columns:
            if name not in known:
                raise UserError(
                    f"{self.path} has no column {name!r}: {suggest_names(name, self.names)}; name "
                    "one of its columns."
                )
        for table in self.tables:
            with _damage(table.path):
                for batch in table.read(columns):
                    yield self._cast(batch) if self.casts else batch

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        types = [self.casts.get(field.name, field.type) for field in batch.schema]
        arrays = [column.cast(kind) for column, kind in zip(batch.columns, types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

    def describe(self) -> str:
        """Return the format in words, such as "semicolon-separated, decimal comma"."""
        form = self.format
        kind, encoding = form["kind"], form.get("encoding", "utf-8")
        separator = SEPARATORS.get(form.get("separator", ""), repr(form.get("separator", "")))
        words = [f"{separator}-separated" if kind == "csv" else kind]
        words += [f"sheet {form['sheet']!r}"] if "sheet" in form else []
        words += ["decimal comma"] if form.get("decimal") == "," else []
        words += [ENCODINGS.get(encoding, encoding)] if encoding != "utf-8" else []
        words += [form["compression"]] if form.get("compression") else []
        if form.get("header") is False:
            words.append(f"no header: columns f1 to f{len(self.names)}")
        words += ["no name above the first column"] if form.get("index") else []
        words += (
            [f"repeated names: {', '.join(form['renamed'][:3])}"] if form.get("renamed") else []
        )
        skipped = form.get("skipped_lines", 0)
        words += [f"{counted(skipped, 'line')} before the header skipped"] if skipped else []
        words += [f"{form['files']} files"] if form["files"] > 1 else []
        left_out = form["left_out_rows"]
        if left_out:
            words.append(
                f"{counted(len(left_out), 'row')} at the end left out: {left_out[0][:40]!r}"
            )
        return ", ".join(words)


def open_table(
    path: str | Path | Sequence[Path], options: ReadOptions = ReadOptions()
) -> TableSource:
    """Open a table: a file, a folder of files, a pattern such as "data/*.csv", or a list of them.

    CSV files, JSON lines and spreadsheets are read as text; Parquet and Arrow files have types.
    Folders named "<name>=<value>" add a column, and so does the option `file_column`. Raises a
    UserError if there is no table, or if a file is empty, damaged, or lacks a column that another
    one has.
    """
    options.check()
    paths = [Path(path).expanduser()] if isinstance(path, str | Path) else list(path)
    tables = list[FileTable]()
    for each in paths:
        found = []
        for file in find_files(each):
            with _damage(file):
                found.append(_open_file(file, options))
        tables += with_partitions(found, each, options.file_column)
    first = tables[0]
    for table in tables[1:]:
        _require_same(table, first)
    decimals = {table.decimal: table.path for table in tables if table.decimal}
    if len(decimals) > 1:
        raise UserError(
            f"numbers have a decimal point in {decimals['.']} and a decimal comma in "
            f"{decimals[',']}; set `read: {{decimal: ...}}`, or write both files alike."
        )
    thousands = next((table.thousands for table in tables if table.thousands), options.thousands)
    numbers = NumberFormat(next(iter(decimals), "."), thousands)
    return TableSource(paths[0], first.names, tables, numbers, _common_types(tables))


def _open_file(path: Path, options: ReadOptions) -> FileTable:
    # At the first use, since each of these imports another library.
    from hourglass.data.readers import csv_tables, text_tables, typed_tables

    suffix = table_suffix(path)
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise UserError(f"{path} is empty; give a table with a header and rows.")
    if suffix in PARQUET or head.startswith(PARQUET_MAGIC):
        return typed_tables.open_parquet(path)
    if suffix in ARROW or head.startswith(typed_tables.ARROW_MAGIC):
        return typed_tables.open_arrow(path)
    if suffix in SHEETS:
        return text_tables.open_sheet(path, options)
    if suffix in JSON:
        return text_tables.open_json(path, options)
    return csv_tables.open_csv(path, options)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Raise a UserError for errors of a damaged file."""
    try:
        yield
    except DAMAGES as error:
        if operating_system_error(error):
            raise
        hint = (
            "set `read: {encoding: cp1252}`, or the encoding that it was written in"
            if isinstance(error, UnicodeError)
            else "correct the file or give another"
        )
        kind = table_suffix(path).removeprefix(".")
        raise UserError(
            f"{path} cannot be read as a {kind} table ({one_line(error)}); {hint}."
        ) from error


def _require_same(table: FileTable, first: FileTable) -> None:
    """Raise a UserError if two files of a table have different columns."""
    for one, other in ((table, first), (first, table)):
        missing = [name for name in other.names if name not in one.names]
        if missing:
            raise UserError(
                f"{one.path} has no column {missing[0]!r}, which {other.path} has; a table's files "
                "need the same columns, in any order."
            )


def _common_types(tables: Sequence[FileTable]) -> dict[str, pa.DataType]:
    """Return the types for columns whose type differs between files; raises a UserError."""
    common = {}
    for name, kind in tables[0].types.items():
        other = next((table for table in tables if table.types[name] != kind), None)
        if other is None:
            continue
        schemas = [pa.schema([(name, _decoded(table.types[name]))]) for table in tables]
        try:
            common[name] = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise UserError(
                f"column {name!r} is {kind} in {tables[0].path} and {other.types[name]} in "
                f"{other.path}; write both files with one type."
            ) from None
    return common


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
