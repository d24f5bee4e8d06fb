"""Stream CSV and Parquet files: a few portions are in memory, however long the file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.chunks import Chunk, Chunks
from hourglass.data.readers.messages import known_names

BLOCK = 2 << 20  # bytes of a CSV file; Arrow holds thirty or so
ROWS = 1 << 15  # of a Parquet file
BUFFER = 1 << 16  # bytes of each of its columns; else Arrow would hold whole row groups


def of_table(path: Path, features: list[str], id: str | None) -> Chunks:
    """Yield the rows of a table; columns are found by name, others than `features` passed over.

    A row is called by the column `id`, or by its number, from 1. Yes and no are 1 and 0, as in
    training. An empty or non-finite feature makes a row incomplete; what is no number is refused.
    """
    start = 1
    for batch, columns in _guarded(path, features, id):
        x = np.empty((len(batch), len(features)), np.float32)
        with np.errstate(over="ignore"):  # to infinity, which is not complete
            for i, column in enumerate(columns):
                x[:, i] = column.to_numpy(zero_copy_only=False)
        names = pa.array(np.arange(start, start + len(batch))) if id is None else batch[id]
        yield Chunk(names, x, np.asarray(np.isfinite(x).all(1)))
        start += len(batch)


def _numbers(column: pa.Array) -> pa.Array:
    """Return a column in double precision, or raise what Arrow does where it holds no numbers."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    return column.cast(pa.float64())


def _guarded(
    path: Path, features: list[str], id: str | None
) -> Iterator[tuple[pa.RecordBatch, list[pa.Array]]]:
    """Yield batches and their features; damaged files make Arrow raise errors of several kinds."""
    wanted = list(dict.fromkeys([*features, *([] if id is None else [id])]))
    read = _csv if path.suffix.lower() == ".csv" else _parquet
    try:
        for batch in read(path, wanted, features):
            yield batch, [_numbers(batch[name]) for name in features]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a table of numbers ({one_line(error)}); mend it or leave "
            "that row out."
        ) from None


def _csv(path: Path, wanted: list[str], features: list[str]) -> Iterator[pa.RecordBatch]:
    with csv.open_csv(path, csv.ReadOptions(block_size=BLOCK)) as head:
        _check(head.schema.names, wanted, path)
        booleans = [name for name in features if pa.types.is_boolean(head.schema.field(name).type)]
    # As in training: parsed in double precision, and only an empty cell is a missing value.
    types: dict[str, pa.DataType] = dict.fromkeys(wanted, pa.string())
    types |= dict.fromkeys(features, pa.float64()) | dict.fromkeys(booleans, pa.bool_())
    convert = csv.ConvertOptions(
        column_types=types, include_columns=wanted, null_values=[""], strings_can_be_null=False
    )
    with csv.open_csv(path, csv.ReadOptions(block_size=BLOCK), None, convert) as reader:
        yield from reader


def _parquet(path: Path, wanted: list[str], features: list[str]) -> Iterator[pa.RecordBatch]:
    with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
        _check(file.schema_arrow.names, wanted, path)
        yield from file.iter_batches(ROWS, columns=wanted)


def _check(found: list[str], wanted: list[str], path: Path) -> None:
    for name in wanted:
        if name not in found:
            raise UserError(
                f"{path} has no column {name!r}: {known_names(name, found)}; the detector needs "
                "every feature that it was trained on, in any order."
            )
        if found.count(name) > 1:
            raise UserError(f"{path} has two columns named {name!r}; rename one of them.")
