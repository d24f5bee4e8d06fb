"""DataFrames as record batches and as tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from hourglass.data.readers.file_table import Batches, FileTable
from hourglass.data.readers.numbers import NumberFormat
from hourglass.data.readers.table_source import TableSource

FRAME_ROWS = 1 << 16  # of a record batch


def frame_batches(frame: pd.DataFrame) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows of a DataFrame as record batches, each with the position of its first row.

    Columns of mixed objects become text.
    """
    for start in range(0, len(frame), FRAME_ROWS):
        rows = frame.iloc[start : start + FRAME_ROWS]
        arrays = [cells_of_series(rows.iloc[:, i]) for i in range(rows.shape[1])]
        yield start, pa.RecordBatch.from_arrays(arrays, [str(name) for name in frame.columns])


def cells_of_series(column: pd.Series) -> pa.Array:
    """Return a column of a DataFrame; mixed objects become text."""
    try:
        array = pa.Array.from_pandas(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        text = [None if _is_null(cell) else str(cell) for cell in column]
        array = pa.array(text, pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _is_null(cell: Any) -> bool:
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell))


def frame_table(frame: pd.DataFrame, path: Path) -> TableSource:
    """Return a DataFrame as a table; `path` names it in messages."""

    def read(columns: Sequence[str]) -> Batches:
        return (batch for _, batch in frame_batches(frame[list(columns)]))

    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    names = list(frame.columns)
    kind = path.suffix.removeprefix(".") or "frame"
    table = FileTable(path, names, {"kind": kind}, read, text=False)
    return TableSource(path, names, [table], NumberFormat(), {})
