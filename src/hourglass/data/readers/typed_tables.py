"""Readers of Parquet and Arrow files: typed columns, in constant memory."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import feather, parquet

from hourglass.core.errors import UserError
from hourglass.data.readers.file_table import Batches, FileTable

Reader: TypeAlias = Callable[[Sequence[str]], Batches]

CHUNK_ROWS = 1 << 15
PARQUET_BUFFER_BYTES = 1 << 16  # per column; without it Arrow would hold whole row groups
PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # of an index without a name
ARROW_MAGIC = b"ARROW1"
FEATHER_V1_MAGIC = b"FEA1"


def open_parquet(path: Path) -> FileTable:
    """Return the table in a Parquet file; see `_table`."""
    with parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows

    def read(columns: Sequence[str]) -> Batches:
        with parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER_BYTES, pre_buffer=False) as file:
            yield from file.iter_batches(CHUNK_ROWS, columns=list(columns))

    return _table(path, "parquet", schema, rows, read)


def open_arrow(path: Path) -> FileTable:
    """Return the table in a Feather file, or in an Arrow file or stream."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(FEATHER_V1_MAGIC):  # the format before 2020, which has no blocks
        table = feather.read_table(path)
        return _table(path, "feather", table.schema, len(table), lambda _: iter(table.to_batches()))

    def read(_: Sequence[str]) -> Batches:
        with pa.memory_map(str(path)) as file:
            if not head.startswith(ARROW_MAGIC):
                yield from pa.ipc.open_stream(file)
                return
            reader = pa.ipc.open_file(file)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)

    with pa.memory_map(str(path)) as file:
        is_file = head.startswith(ARROW_MAGIC)
        schema = (pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)).schema
    rows = any(len(batch) for batch in read([]))
    return _table(path, "arrow", schema, int(rows), read)


def _table(path: Path, kind: str, schema: pa.Schema, rows: int, read: Reader) -> FileTable:
    """Return a table whose lists of numbers of one length are columns <name>_0, <name>_1 and so on.

    The index that pandas stores is a column if it has a name. Raises a UserError if the file has no
    rows or two columns of one name, and on reading a column of other lists, of structures or of
    bytes.
    """
    if not rows:
        raise UserError(f"{path} has no rows; give a table with rows.")
    repeated = next((name for name, n in Counter(schema.names).items() if n > 1), None)
    if repeated is not None:
        raise UserError(f"{path} has two columns named {repeated!r}; rename one of them.")
    fields = [field for field in schema if not PANDAS_INDEX.fullmatch(field.name)]
    cells: dict[str, tuple[str, int | None]] = {}  # by name: the column, and an item of its lists
    for field in fields:
        size = _list_size(field, read)
        if size is None:
            cells[field.name] = (field.name, None)
        else:
            cells |= {f"{field.name}_{i}": (field.name, i) for i in range(size)}
    sizes = Counter(name for name, item in cells.values() if item is not None)
    types = {field.name: field.type for field in fields}

    def read_cells(columns: Sequence[str]) -> Batches:
        needed = list(dict.fromkeys(cells[name][0] for name in columns))
        for name in needed:
            _require_cells(path, name, types[name], name in sizes)
        start = 1
        for whole in read(needed):
            for offset in range(0, len(whole), CHUNK_ROWS):
                batch = whole.slice(offset, CHUNK_ROWS)
                lists = {
                    name: _items(batch[name], sizes[name], path, name, start)
                    for name in needed
                    if name in sizes
                }
                arrays = [
                    batch[name] if item is None else lists[name][item]
                    for name, item in (cells[column] for column in columns)
                ]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))
                start += len(batch)

    expanded = {
        column: types[name] if item is None else types[name].value_type
        for column, (name, item) in cells.items()
    }
    return FileTable(path, list(cells), {"kind": kind}, read_cells, text=False, types=expanded)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _list_size(field: pa.Field, read: Reader) -> int | None:
    """Return the length of a column's lists of numbers; None if it has others, or none."""
    if not _is_list(field.type):
        return None
    item = field.type.value_type
    if not (pa.types.is_integer(item) or pa.types.is_floating(item) or pa.types.is_boolean(item)):
        return None
    if pa.types.is_fixed_size_list(field.type):
        return int(field.type.list_size)
    for batch in read([field.name]):
        lengths = set(batch[field.name].value_lengths().to_pylist()) - {None}
        if lengths:
            return lengths.pop() if len(lengths) == 1 else None
    return None


def _require_cells(path: Path, name: str, kind: pa.DataType, expanded: bool) -> None:
    if not expanded and (pa.types.is_nested(kind) or pa.types.is_binary(kind)):
        raise UserError(
            f"Column {name!r} of {path} holds {kind}, which is no single value per row; write it "
            f"as one column per value, or leave it out with `drop: [{name}]`."
        )


def _items(column: pa.Array, size: int, path: Path, name: str, start: int) -> list[pa.Array]:
    """Return one array per position of lists of `size` numbers; a missing list has missing items.

    Raises a UserError for a list of another length; `start` is the number of the first row.
    """
    for row, length in enumerate(column.value_lengths().to_pylist(), start):
        if length not in (None, size):
            raise UserError(
                f"Column {name!r} of {path} holds a list of length {length} in row {row} instead "
                f"of {size}; write lists of one length, or leave the column out."
            )
    found = column.drop_null().flatten()
    index = pc.cumulative_sum(column.is_valid().cast(pa.int64()))
    rows = pc.if_else(column.is_valid(), pc.subtract(index, 1), None)
    return [found.take(pc.add(pc.multiply(rows, size), i)) for i in range(size)]
