"""Chunked reader of vectors for scoring, in bounded memory."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.readers.chunks import Chunk, Chunks, InputSpec
from hourglass.data.readers.vector_files import VectorFile, find_files, open_file
from hourglass.data.readers.vector_formats import as_floats, read_headers, read_parts
from hourglass.data.readers.vector_labels import read_labels


def read_vector_chunks(path: Path, spec: InputSpec, id: str | None) -> Chunks:
    """Yield the vectors of a file, a folder or a pattern, in the order of the data set's files.

    Their ids are "<file>/<number>", counted from 0, or those of the array or column `id`. A vector
    that is not finite gets no score. Raises a UserError for vectors of another width.
    """
    files = [_open(file, spec) for file in find_files(str(path))]
    (width,) = spec.sample_shape
    for file in files:
        if file.width != width:
            raise UserError(
                f"the vectors of {file.path} have {file.width:,} numbers, but those of the data "
                f"set {width:,}; give vectors of the same layer."
            )
    return _chunks(files, path if path.is_dir() else files[0].path.parent, id)


def _open(path: Path, spec: InputSpec) -> VectorFile:
    """Open the array of the name set for `prepare`, or in a file without it, the usual choice."""
    vectors = spec.vectors or {}
    key = vectors.get("key")
    return open_file(path, key if key in read_headers(path) else None, vectors.get("roles", ()))


def _chunks(files: Sequence[VectorFile], root: Path, id: str | None) -> Iterator[Chunk]:
    for file in files:
        ids = None if id is None else read_labels([file], id)
        start, name = 0, os.path.relpath(file.path, root)
        for part in read_parts(file.path, file.key, file.header, file.columns):
            x = file.flat(as_floats(part, file.header, file.dtype)).astype(np.float32)
            complete: np.ndarray = np.array(np.isfinite(x).all(axis=1))
            x[~complete] = 0
            numbers = range(start, start := start + len(x))
            names = (
                [f"{name}/{number}" for number in numbers]
                if ids is None
                else ids[numbers.start : numbers.stop].tolist()
            )
            yield Chunk(pa.array(names), x, complete)
