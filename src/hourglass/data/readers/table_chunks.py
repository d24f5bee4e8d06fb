"""Chunked readers of tables for scoring, in constant memory: the codes of a detector's columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.core.suggestions import quote, suggest_names
from hourglass.data.columns.codes import codes, present_columns
from hourglass.data.columns.column import Column, Missing
from hourglass.data.frames import frame_table
from hourglass.data.readers.chunks import Chunk, Chunks, InputSpec
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import TableSource, open_table

if TYPE_CHECKING:
    import pandas as pd

MAX_NAMES_SHOWN = 8  # of ignored columns


def read_table_chunks(
    path: Path, spec: InputSpec, id: str | None, missing: Missing, quiet: bool = False
) -> Chunks:
    """Yield the rows of a table; select the columns by name, in any order.

    Prints the names of the columns that are ignored, unless `quiet`. The id of a row is its value
    in the column `id`. Without such a column it is the row number, counted from 1. Raises a
    UserError for a cell without a code, and for a missing column that is not optional.
    """
    table, columns = _open(path, spec), spec.columns
    used = [column.name for column in present_columns(table.names, columns, path)]
    if id is not None and id not in table.names:
        raise UserError(
            f"{path} has no column {id!r}: {suggest_names(id, table.names)}; name the column of "
            "row ids."
        )
    names = used if id is None or id in used else [*used, id]
    ignored = [name for name in table.names if name not in names]
    if ignored and not quiet:
        more = f" and {len(ignored) - MAX_NAMES_SHOWN} more" * (len(ignored) > MAX_NAMES_SHOWN)
        shown = ", ".join(map(quote, ignored[:MAX_NAMES_SHOWN]))
        print(f"ignored, as the detector does not know them: {shown}{more}", flush=True)
    return _table_chunks(table, names, columns, id, missing)


def _open(path: Path, spec: InputSpec) -> TableSource:
    """Open a table in the format that was set for `prepare`, or in the one that is detected."""
    table = open_table(path, spec.read)
    if spec.read == ReadOptions() or _has_columns(table, spec):
        return table
    # New rows may come in another format.
    detected = open_table(path, ReadOptions(file_column=spec.read.file_column))
    return detected if _has_columns(detected, spec) else table


def _has_columns(table: TableSource, spec: InputSpec) -> bool:
    return {column.name for column in spec.columns if not column.optional} <= {*table.names}


def _table_chunks(
    table: TableSource,
    names: list[str],
    columns: Sequence[Column],
    id: str | None,
    missing: Missing,
) -> Chunks:
    start = 1
    for batch in table.batches(names):
        x = codes(batch, columns, table.path, start, table.numbers)
        ids = pa.array(np.arange(start, start + len(batch))) if id is None else batch[id]
        yield _chunk(ids, x, columns, table.path, missing, batch)
        start += len(batch)


def frame_chunks(
    frame: "pd.DataFrame", columns: Sequence[Column], name: Path, missing: Missing
) -> Chunks:
    """Yield the rows of a DataFrame as `read_table_chunks` yields those of a Parquet file.

    `name` stands for the path in messages.
    """
    table = frame_table(frame, name)
    names = [column.name for column in present_columns(table.names, columns, name)]
    return _table_chunks(table, names, columns, None, missing)


def array_chunk(
    x: np.ndarray,
    ids: pa.Array,
    columns: Sequence[Column],
    source: Path,
    missing: Missing,
    first_row: int = 1,
) -> Chunk:
    """Return the chunk of an array of numbers, (N, C), in the order of the columns."""
    cells = pa.RecordBatch.from_arrays(
        [pa.array(np.ascontiguousarray(x[:, i])) for i in range(len(columns))],
        [column.name for column in columns],
    )
    return _chunk(ids, codes(cells, columns, source, first_row), columns, source, missing, cells)


def _chunk(
    ids: pa.Array,
    x: np.ndarray,
    columns: Sequence[Column],
    source: Path,
    missing: Missing,
    cells: pa.RecordBatch | None,
) -> Chunk:
    """Return a chunk; a row without any value, or with missing cells to skip, gets no score.

    Raises a UserError if missing cells are to be refused and there is one.
    """
    empty = np.isnan(x)
    if missing == "refuse" and empty.any():
        row, column = (int(i) for i in np.argwhere(empty)[0])
        raise UserError(
            f"Column {columns[column].name!r} of {source} is empty in row {ids[row]}; fill it in, "
            "or score it as a missing cell, which is the default."
        )
    complete = ~(empty.any(1) if missing == "skip" else empty.all(1))
    return Chunk(ids, x, complete, cells)
