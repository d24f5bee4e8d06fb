"""An open table with inferred columns, and its record batches, which are read several times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from hourglass.data.columns.decision import Decision
from hourglass.data.readers.table_source import TableSource

MIN_BATCH_ROWS, MIN_BATCH_BYTES = 1 << 14, 64 << 20  # of a batch, whichever comes first
MAX_CACHED_BYTES = 256 << 20  # of record batches that are read once and used twice


@dataclass(frozen=True)
class InferredTable:
    """An open table and the decisions about its columns."""

    source: TableSource
    batches: "RepeatedBatches"
    decisions: list[Decision]

    @property
    def rows(self) -> int:
        """Return the number of rows in all files."""
        return self.batches.rows


class RepeatedBatches:
    """The record batches of some columns; small tables are read once and kept."""

    def __init__(self, source: TableSource, columns: Sequence[str]) -> None:
        self.source = source
        self.columns = columns
        self.rows = 0  # of the last complete pass
        self.cached: list[pa.RecordBatch] | None = None

    def only(self, column: str) -> "RepeatedBatches":
        """Return the batches of one column; kept batches are returned with all columns."""
        return self if self.cached is not None else RepeatedBatches(self.source, [column])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self.cached is not None:
            yield from self.cached
            return
        kept: list[pa.RecordBatch] | None = []
        size = rows = 0
        for batch in _joined(self.source.batches(self.columns)):
            size += batch.nbytes
            rows += len(batch)
            if kept is not None:
                kept.append(batch)
                kept = kept if size <= MAX_CACHED_BYTES else None
            yield batch
        self.cached, self.rows = kept, rows


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches: those of a file with thousands of columns hold few rows."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows, size = rows + len(batch), size + batch.nbytes
        if rows >= MIN_BATCH_ROWS or size >= MIN_BATCH_BYTES:
            yield _join(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _join(waiting)


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
