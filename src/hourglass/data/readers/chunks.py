"""Chunks of a file of new samples, in the detector's own order and type."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError

TABLES = (".csv", ".parquet")


class InputSpec(Protocol):
    """The samples that a detector takes: named features of a table, or images of one shape."""

    @property
    def feature_names(self) -> list[str]:
        """Return the column names of a table; [] for images."""
        ...

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (F,) for a table, (C, H, W) for images."""
        ...

    @property
    def full_scale(self) -> float:
        """Return the value of white in an image."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Hold some samples of a file, unscaled, and what they are called."""

    id: pa.Array  # (N,)
    x: np.ndarray  # (N, *S)
    complete: np.ndarray  # (N,) bool: False where a feature is missing, and no score can be given


Chunks: TypeAlias = Iterator[Chunk]
Accepts: TypeAlias = Callable[[tuple[int, ...]], bool]  # whether images are of a shape (C, H, W)


def read_chunks(
    path: Path,
    spec: InputSpec,
    id: str | None,
    resize: bool,
    accepts: Accepts | None = None,
) -> Chunks:
    """Yield the samples of a table, an .npz file, an image or a folder of images.

    Images are of the detector's shape, or of one that is accepted: then of one shape a portion.
    Raises a UserError where the file is missing, of another kind, or is no input of the spec.
    """
    from hourglass.data.readers import image_chunks, table_chunks

    accepts = accepts or (lambda shape: shape == spec.sample_shape)
    if not path.exists():
        raise UserError(f"{path} is missing; name a file or folder of new samples.")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return image_chunks.of_npz(path, spec, accepts)
    if suffix in TABLES:
        if not spec.feature_names:
            raise UserError(
                f"{path} is a table, but this detector takes images; give an .npz file or images."
            )
        return table_chunks.of_table(path, spec.feature_names, id)
    if spec.feature_names:
        raise UserError(
            f"{path} is no table, but this detector takes one; give a .csv, .parquet or .npz file."
        )
    return image_chunks.of_files(path, spec, resize, accepts)


def prefetch(found: Chunks) -> Chunks:
    """Yield chunks while the next one is read already, in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, found, None)
        while (portion := coming.result()) is not None:
            coming = pool.submit(next, found, None)
            yield portion
