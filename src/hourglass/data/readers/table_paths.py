"""Files of a table: a file, a folder or a pattern, and columns from the names of folders."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.readers.file_table import Batches, FileTable
from hourglass.data.readers.user_files import check_file_type, fixed_part

CSV = (".csv", ".tsv", ".tab", ".psv", ".txt", ".data", ".dat")
JSON = (".jsonl", ".ndjson", ".json")
SHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
ARROW = (".feather", ".arrow", ".ipc")
PARQUET = (".parquet", ".pq")
COMPRESSED = (".gz", ".bz2", ".zst", ".xz", ".zip")
SUFFIXES = (*CSV, *JSON, *SHEETS, *ARROW, *PARQUET)
# In a folder, other text files are rather notes, or labels of images.
IN_FOLDERS = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", *ARROW, *PARQUET)
KNOWN = ".csv, .tsv, .txt, .jsonl, .xlsx, .parquet or .feather"
FOLDER = re.compile(r"([^=]+)=(.*)")  # Hive's
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def table_suffix(path: Path) -> str:
    """Return the suffix of a file's name in lower case, without one of a compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
        return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else ".csv"
    return suffixes[-1] if suffixes else ""


def file_stem(path: Path) -> str:
    """Return the name of a table's file without its suffixes."""
    name = path.name
    for suffix in reversed(path.suffixes):
        if suffix.lower() not in (*COMPRESSED, *SUFFIXES):
            break
        name = name.removesuffix(suffix)
    return name


def is_table(path: Path) -> bool:
    """Return whether a path names a table: a file, a folder with one, or a pattern."""
    if path.is_dir():
        return bool(_files_in(path))
    return table_suffix(path) in SUFFIXES


def find_files(path: Path) -> list[Path]:
    """Return the files of a table in the order of their names.

    In a folder, names that begin with a dot or an underscore are no part of the table. Raises a
    UserError if there is no file, or if its suffix is none of a table.
    """
    if path.is_dir():
        files = _files_in(path)
        if not files:
            raise UserError(f"{path} holds no table; give a folder with {KNOWN} files.")
    else:
        files = [path] if path.exists() else _matches(path)
    if not files:
        raise UserError(f"{path} does not exist; name a table, a folder, or a pattern of tables.")
    for file in files:
        check_file_type(file)
        if table_suffix(file) not in SUFFIXES:
            raise UserError(f"{file} ends in {file.suffix!r}; give a table: {KNOWN}.")
    suffixes = sorted({table_suffix(file) for file in files})
    if len({_family(suffix) for suffix in suffixes}) > 1:
        raise UserError(
            f"{path} holds files of several formats, {' and '.join(suffixes)}; give a pattern such "
            "as 'folder/*.csv' in quotes."
        )
    return files


def with_partitions(
    tables: Sequence[FileTable], root: Path, file_column: str | None = None
) -> list[FileTable]:
    """Add a column per folder "<name>=<value>" between `root` and a file.

    `file_column` is the name of another one, with the names of files, unless a file has it. Values
    are integers if all of them are and the files have types, and text otherwise.
    """
    keys = [_partition(table.path, root) for table in tables]
    if file_column is not None and not any(file_column in table.names for table in tables):
        for table, key in zip(tables, keys, strict=True):
            key[file_column] = file_stem(table.path)
    as_text = {
        name
        for table, key in zip(tables, keys, strict=True)
        for name, value in key.items()
        if table.text or not (value is None or value.isdecimal())
    }
    return [_with_values(table, key, as_text) for table, key in zip(tables, keys, strict=True)]


def _with_values(
    table: FileTable, key: dict[str, str | None], as_text: Collection[str]
) -> FileTable:
    if not key:
        return table
    types = {name: pa.string() if name in as_text else pa.int64() for name in key}
    added = {name: pa.scalar(value).cast(types[name]) for name, value in key.items()}
    names = [name for name in table.names if name not in added]

    def read(columns: Sequence[str]) -> Batches:
        own = [name for name in columns if name not in added]
        # A column of the file gives the number of rows if only folders are asked for.
        for batch in table.read(own or names[:1]):
            arrays = [
                pa.repeat(added[name], len(batch)) if name in added else batch[name]
                for name in columns
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))

    typed = {} if table.text else table.types | types
    return replace(table, names=[*names, *added], read=read, types=typed)


def _partition(file: Path, root: Path) -> dict[str, str | None]:
    if not root.is_dir():
        return {}
    pairs = [FOLDER.fullmatch(part) for part in file.relative_to(root).parts[:-1]]
    values = {pair[1]: unquote(pair[2]) for pair in pairs if pair}
    return {name: None if value == HIVE_NULL else value for name, value in values.items()}


def _files_in(folder: Path) -> list[Path]:
    found = []
    for file in folder.rglob("*"):
        hidden = any(part[0] in "._" for part in file.relative_to(folder).parts)
        if not hidden and table_suffix(file) in IN_FOLDERS and file.is_file():
            found.append(file)
    return sorted(found)


def _matches(pattern: Path) -> list[Path]:
    """Return the files that match a pattern, in the order of their names."""
    fixed = fixed_part(str(pattern))
    if fixed == pattern:
        return []
    return sorted(f for f in fixed.glob(str(pattern.relative_to(fixed))) if f.is_file())


def _family(suffix: str) -> int:
    return next(i for i, kinds in enumerate((CSV, JSON, SHEETS, ARROW, PARQUET)) if suffix in kinds)
