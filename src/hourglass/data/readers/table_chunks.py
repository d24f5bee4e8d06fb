"""Chunked readers of CSV and Parquet files for scoring, in constant memory."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import suggest_names
from hourglass.data.readers.chunks import Chunk, Chunks
from hourglass.data.readers.csv_format import MISSING, detect_csv_format

if TYPE_CHECKING:
    import pandas as pd

CSV_BLOCK_BYTES = 2 << 20  # Arrow holds about thirty blocks at once
MAX_CSV_LINE_BYTES = 16 << 20
PARQUET_CHUNK_ROWS = 1 << 15
PARQUET_BUFFER_BYTES = 1 << 16  # per column; without it Arrow would hold whole row groups


def read_table_chunks(path: Path, features: list[str], id: str | None) -> Chunks:
    """Yield the rows of a table; select the columns in `features` by name, ignore others.

    The id of a row is its value in the column `id`. Without such a column it is the row number,
    counted from 1. Booleans become 1 and 0, as in training. A row with an empty or non-finite
    feature is marked as incomplete. Raises a UserError if a feature is not a number.
    """
    columns = features if id is None or id in features else [*features, id]
    is_csv = path.suffix.lower() != ".parquet"
    batches = _read_csv(path, columns, features) if is_csv else _read_parquet(path, columns)
    return _chunks(batches, path, features, id)


def frame_chunks(frame: "pd.DataFrame", features: list[str], name: Path) -> Chunks:
    """Yield the rows of a DataFrame as `read_table_chunks` yields those of a Parquet file.

    `name` stands for the path in messages.
    """
    frame = frame.rename(columns=str)
    _check_columns(list(frame.columns), features, name)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(frame), PARQUET_CHUNK_ROWS):
            rows = frame.iloc[start : start + PARQUET_CHUNK_ROWS]
            yield pa.RecordBatch.from_pandas(rows[features], preserve_index=False)

    return _chunks(batches(), name, features, None)


def _chunks(
    batches: Iterator[pa.RecordBatch], path: Path, features: list[str], id: str | None
) -> Chunks:
    """Yield a chunk per record batch; see `read_table_chunks`."""
    start = 1
    try:
        for batch in batches:
            x = np.empty((len(batch), len(features)))
            with np.errstate(over="ignore"):  # overflow gives infinity, so the row is incomplete
                for i, name in enumerate(features):
                    x[:, i] = _to_float64(batch[name]).to_numpy(zero_copy_only=False)
            ids = pa.array(np.arange(start, start + len(batch))) if id is None else batch[id]
            yield Chunk(ids, x, np.asarray(np.isfinite(x).all(1)))
            start += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a table of numbers ({one_line(error)}); correct it or "
            "remove that row."
        ) from None


def _to_float64(column: pa.Array) -> pa.Array:
    """Return a column in double precision, rounded; raises an ArrowException if not numeric."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    return column.cast(pa.float64(), safe=False)


def _read_csv(path: Path, columns: list[str], features: list[str]) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:  # a block must hold the header and a row
        line = re.split(rb"[\r\n]", file.readline(MAX_CSV_LINE_BYTES), maxsplit=1)[0]
    if len(line) == MAX_CSV_LINE_BYTES:
        raise UserError(
            f"the first line of {path} is longer than {MAX_CSV_LINE_BYTES:,} bytes; give a table "
            "with fewer columns."
        )
    form = detect_csv_format(path)
    options = csv.ReadOptions(
        block_size=max(CSV_BLOCK_BYTES, 4 * len(line)), encoding=form.encoding
    )
    parse = csv.ParseOptions(delimiter=form.separator)
    missing = csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True)
    with csv.open_csv(path, options, parse, missing) as head:
        _check_columns(head.schema.names, columns, path)
        booleans = [name for name in features if pa.types.is_boolean(head.schema.field(name).type)]
    # As in training, numbers have double precision and MISSING lists the empty cells.
    types: dict[str, pa.DataType] = dict.fromkeys(columns, pa.string())
    types |= dict.fromkeys(features, pa.float64()) | dict.fromkeys(booleans, pa.bool_())
    convert = csv.ConvertOptions(
        column_types=types,
        include_columns=columns,
        null_values=list(MISSING),
        strings_can_be_null=False,
        decimal_point=form.decimal,
    )
    with csv.open_csv(path, options, parse, convert) as reader:
        yield from reader


def _read_parquet(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER_BYTES, pre_buffer=False) as file:
        _check_columns(file.schema_arrow.names, columns, path)
        yield from file.iter_batches(PARQUET_CHUNK_ROWS, columns=columns)


def _check_columns(present: list[str], required: list[str], path: Path) -> None:
    for name in required:
        if name not in present:
            raise UserError(
                f"{path} has no column {name!r}: {suggest_names(name, present)}; the detector "
                "needs every feature that it was trained on, in any order."
            )
        if present.count(name) > 1:
            raise UserError(f"{path} has two columns named {name!r}; rename one of them.")
