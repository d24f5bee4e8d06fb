"""Chunks of a file of new samples, in the feature order and type of a detector."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.columns.column import Column, Missing
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_paths import is_table
from hourglass.data.readers.user_files import check_file_type

if TYPE_CHECKING:
    from hourglass.data.readers.image_format import ImageFormat


class InputSpec(Protocol):
    """Input of a detector: rows of a table with these columns, vectors, or images of one shape."""

    @property
    def columns(self) -> Sequence[Column]:
        """Return the columns of a table, in order; [] for images."""

    @property
    def read(self) -> ReadOptions:
        """Return the format of the table as it was set for `prepare`."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (C,) for a table of C columns, (C, H, W) for images."""

    @property
    def vectors(self) -> dict[str, Any] | None:
        """Return the names of the arrays in files of vectors; None for tables and images."""

    @property
    def full_scale(self) -> float:
        """Return the value of white in an image."""

    @property
    def image_format(self) -> "ImageFormat":
        """Return the form of images."""

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Return whether samples of a shape can be scored."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive samples of a file, unscaled, with their ids."""

    id: pa.Array  # (N,)
    x: np.ndarray  # (N, *S); of a table, the codes of the cells
    complete: np.ndarray  # (N,) bool: False for a row that gets no score
    cells: pa.RecordBatch | None = None  # of a table, as they were read
    sizes: np.ndarray | None = None  # of images, (N, 2): height and width before any scaling


Chunks: TypeAlias = Iterator[Chunk]
VECTOR_SUFFIXES = (".npy", ".npz", ".safetensors", ".parquet", ".pq")
ShapeCheck: TypeAlias = Callable[[tuple[int, ...]], bool]  # accepts or rejects a shape (C, H, W)


def read_chunks(
    path: Path,
    spec: InputSpec,
    id: str | None,
    resize: bool,
    accepts: ShapeCheck | None = None,
    missing: Missing = "use",
    skip_damaged: bool = False,
) -> Chunks:
    """Yield the samples of a table, an .npz or .npy file, images or files of vectors.

    A table is one of the formats that `prepare` reads. `accepts` checks the shape of images; by
    default, the detector decides. All images of a chunk have the same shape. `skip_damaged` skips
    image files that cannot be read.
    Raises a UserError if the file is missing, has another format, or does not match the spec.
    """
    from hourglass.data.readers import image_chunks, table_chunks
    from hourglass.data.readers.image_index import is_index

    accepts = accepts or spec.accepts
    suffix = path.suffix.lower()
    if spec.vectors is not None and (suffix in VECTOR_SUFFIXES or path.is_dir()):
        from hourglass.data.readers.vector_chunks import read_vector_chunks

        return read_vector_chunks(path, spec, id)
    if spec.columns and suffix != ".npz" and (is_table(path) or not path.exists()):
        return table_chunks.read_table_chunks(path, spec, id, missing)
    if not path.exists():
        raise UserError(f"{path} is missing; name a file or folder of new samples.")
    check_file_type(path)
    if suffix == ".npz" or (suffix == ".npy" and not spec.columns):
        return image_chunks.read_array_chunks(path, spec, accepts, missing)
    if spec.columns:
        raise UserError(
            f"{path} is not a table, but this detector takes one; give a .csv, .parquet or .npz "
            "file."
        )
    if is_table(path) and not is_index(path):
        raise UserError(
            f"{path} is a table, but this detector takes images; give images, an .npz file, or a "
            ".csv or .parquet file with their paths."
        )
    return image_chunks.read_image_chunks(path, spec, resize, accepts, skip_damaged)


def chunks_in_memory(samples: Any, spec: InputSpec, missing: Missing = "use") -> Chunks:
    """Yield the rows of a DataFrame, or the samples of an array in any layout of an .npz file.

    The chunks are those of the same samples in a Parquet or .npz file, so the scores are too.
    Raises a UserError if the samples do not match the spec, or if there are none.
    """
    from hourglass.data.readers import image_chunks, table_chunks

    rows: Any = samples
    if hasattr(rows, "to_pandas"):  # a frame of polars or Arrow
        rows = rows.to_pandas()
    name = Path("the DataFrame" if hasattr(rows, "columns") else "the array")
    rows = rows if hasattr(rows, "columns") else np.asarray(rows)
    if not rows.ndim or not len(rows):
        raise UserError(f"{name} holds no samples; give at least one.")
    if isinstance(rows, np.ndarray):
        return image_chunks.array_chunks(rows, spec, name, spec.accepts, missing)
    if not spec.columns:
        raise UserError(f"{name} is a table, but this detector takes images; give an array.")
    return table_chunks.frame_chunks(rows, spec.columns, name, missing)
