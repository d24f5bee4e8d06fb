"""Chunks of a file of new samples, in the feature order and type of a detector."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.readers.user_files import check_file_type

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


class InputSpec(Protocol):
    """Input of a detector: named features of a table, or images of one shape."""

    @property
    def feature_names(self) -> list[str]:
        """Return the column names of a table; [] for images."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (F,) for a table, (C, H, W) for images."""

    @property
    def full_scale(self) -> float:
        """Return the value of white in an image."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive samples of a file, unscaled, with their ids."""

    id: pa.Array  # (N,)
    x: np.ndarray  # (N, *S)
    complete: np.ndarray  # (N,) bool: False if a feature is missing, so there is no score


Chunks: TypeAlias = Iterator[Chunk]
ShapeCheck: TypeAlias = Callable[[tuple[int, ...]], bool]  # accepts or rejects a shape (C, H, W)


def read_chunks(
    path: Path, spec: InputSpec, id: str | None, resize: bool, accepts: ShapeCheck | None = None
) -> Chunks:
    """Yield the samples of a table, an .npz file, an image or a folder of images.

    `accepts` checks the shape of images; by default, only the detector's shape is accepted. All
    images of a chunk have the same shape. Raises a UserError if the file is missing, has another
    format, or does not match the spec.
    """
    from hourglass.data.readers import image_chunks, table_chunks

    accepts = accepts or _same_shape(spec)
    if not path.exists():
        raise UserError(f"{path} is missing; name a file or folder of new samples.")
    check_file_type(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return image_chunks.read_npz_chunks(path, spec, accepts)
    if suffix in TABLE_SUFFIXES:
        if not spec.feature_names:
            raise UserError(
                f"{path} is a table, but this detector takes images; give an .npz file or images."
            )
        return table_chunks.read_table_chunks(path, spec.feature_names, id)
    if spec.feature_names:
        raise UserError(
            f"{path} is not a table, but this detector takes one; give a .csv, .parquet or .npz "
            "file."
        )
    return image_chunks.read_image_chunks(path, spec, resize, accepts)


def chunks_in_memory(samples: Any, spec: InputSpec) -> Chunks:
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
        return image_chunks.array_chunks(rows, spec, name, _same_shape(spec))
    if not spec.feature_names:
        raise UserError(f"{name} is a table, but this detector takes images; give an array.")
    return table_chunks.frame_chunks(rows, spec.feature_names, name)


def _same_shape(spec: InputSpec) -> ShapeCheck:
    return lambda shape: shape == spec.sample_shape
