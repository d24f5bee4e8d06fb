"""Scores of a file of series: its chunks are spooled, scored together, and yielded one by one.

The windows of a row reach into other chunks, and those of one entity need not follow each other.
Codes and cells lie in temporary files, so the file may be larger than memory.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hourglass.data.readers.chunks import Chunk, Chunks
from hourglass.detection.detector import Detector

# The scores, contributions and outputs of a chunk, as of `Detector.score_with_outputs`.
Scored = tuple[np.ndarray, np.ndarray, np.ndarray]


def score_series_chunks(detector: Detector, chunks: Chunks) -> Iterator[tuple[Chunk, Scored]]:
    """Yield the chunks of a series with the results of `Detector.score_with_outputs`."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".series-") as folder:
        cells, codes = Path(folder) / "cells.arrow", Path(folder) / "codes"
        complete = []
        writer: pa.RecordBatchFileWriter | None = None
        with codes.open("wb") as file:
            for chunk in chunks:
                complete.append(chunk.complete)
                file.write(np.ascontiguousarray(chunk.x).data)
                batch = _with_id(chunk)
                if writer is None:
                    writer = pa.ipc.new_file(cells, batch.schema)
                writer.write_batch(batch)
        if writer is None:
            return
        writer.close()
        columns = len(detector.columns)
        x = np.memmap(codes, np.float64, "r", shape=(sum(map(len, complete)), columns))
        scored = detector.score_with_outputs(x)
        start = 0
        with pa.memory_map(str(cells)) as source, pa.ipc.open_file(source) as batches:
            for i, mask in enumerate(complete):
                rows, batch = slice(start, start + len(mask)), batches.get_batch(i)
                start = rows.stop
                part = pa.RecordBatch.from_arrays(batch.columns[1:], batch.schema.names[1:])
                scores, contributions, output = (array[rows] for array in scored)
                chunk = Chunk(batch.column(0), np.asarray(x[rows]), mask, part)
                yield chunk, (scores, contributions, output)


def _with_id(chunk: Chunk) -> pa.RecordBatch:
    """Return the cells of a chunk with the ids of its rows as the first column."""
    cells = chunk.cells
    assert cells is not None  # of a table
    return pa.RecordBatch.from_arrays([chunk.id, *cells.columns], ["", *cells.schema.names])
