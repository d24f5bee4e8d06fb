"""Stream CSV and Parquet files: a few portions are in memory, however long the file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from hourglass.data.refusals import known_names
from hourglass.errors import Refusal, one_line
from hourglass.streams.portions import Portion, Portions

BLOCK = 2 << 20  # bytes of a CSV file; Arrow holds thirty or so
ROWS = 1 << 15  # of a Parquet file
BUFFER = 1 << 16  # bytes of each of its columns; else Arrow would hold whole row groups


def of_table(path: Path, features: list[str], id: str | None) -> Portions:
    """Yield the rows of a table; columns are found by name, others than `features` passed over.

    A row is called by the column `id`, or by its number, from 1. An empty or non-finite feature
    makes a row incomplete; what is no number is refused.
    """
    start = 1
    for batch in _guarded(path, features, id):
        x = np.empty((len(batch), len(features)), np.float32)
        for i, name in enumerate(features):
            x[:, i] = batch[name].to_numpy(zero_copy_only=False)
        names = pa.array(np.arange(start, start + len(batch))) if id is None else batch[id]
        yield Portion(names, x, np.asarray(np.isfinite(x).all(1)))
        start += len(batch)


def _guarded(path: Path, features: list[str], id: str | None) -> Iterator[pa.RecordBatch]:
    """Yield Arrow's batches; a damaged file makes Arrow raise errors of several kinds."""
    wanted = features if id is None else [*features, id]
    read = _csv if path.suffix.lower() == ".csv" else _parquet
    try:
        yield from read(path, wanted, features)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} cannot be read as a table of numbers ({one_line(error)}); mend it or leave "
            "that row out."
        ) from None


def _csv(path: Path, wanted: list[str], features: list[str]) -> Iterator[pa.RecordBatch]:
    # As text at first: the names alone are asked for.
    with csv.open_csv(path, csv.ReadOptions(block_size=BLOCK)) as head:
        _check(head.schema.names, wanted, path)
    # As in training: parsed in double precision, and only an empty cell is a missing value.
    types: dict[str, pa.DataType] = dict.fromkeys(wanted, pa.string())
    types |= dict.fromkeys(features, pa.float64())
    convert = csv.ConvertOptions(
        column_types=types, include_columns=wanted, null_values=[""], strings_can_be_null=False
    )
    with csv.open_csv(path, csv.ReadOptions(block_size=BLOCK), None, convert) as reader:
        yield from reader


def _parquet(path: Path, wanted: list[str], features: list[str]) -> Iterator[pa.RecordBatch]:
    with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
        _check(file.schema_arrow.names, wanted, path)
        for name in features:
            kind = file.schema_arrow.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise Refusal(
                    f"Column {name!r} of {path} is {kind}, where features are numbers; convert it."
                )
        yield from file.iter_batches(ROWS, columns=wanted)


def _check(found: list[str], wanted: list[str], path: Path) -> None:
    for name in wanted:
        if name not in found:
            raise Refusal(
                f"{path} has no column {name!r}: {known_names(name, found)}; the detector needs "
                "every feature that it was trained on, in any order."
            )
        if found.count(name) > 1:
            raise Refusal(f"{path} has two columns named {name!r}; rename one of them.")
