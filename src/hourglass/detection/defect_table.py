"""The table of the defects of many images, written while they are scored."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from hourglass.detection.defects import Defect
from hourglass.detection.score_writer import open_writer

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        **{name: pa.int64() for name in ("number", "area", "x", "y", "width", "height")},
        **{name: pa.float64() for name in ("score", "mean_score")},
    }
)


class DefectTable:
    """A CSV or Parquet file, by its suffix, with a row per defect; it counts both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = open_writer(path, SCHEMA)
        self.defects = self.images = 0

    def add(self, ids: pa.Array, defects: Sequence[list[Defect]]) -> None:
        """Add the defects of images, a list each."""
        rows = [
            {"id": str(name), **vars(defect)}
            for name, of_image in zip(ids, defects, strict=True)
            for defect in of_image
        ]
        if rows:
            self.writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
        self.defects += len(rows)
        self.images += sum(map(bool, defects))

    def close(self) -> None:
        """Finish the file."""
        self.writer.close()
