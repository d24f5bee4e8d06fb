"""Arrays that lie in a temporary file where they are too large for memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.streaming import release_pages

MAX_BYTES_IN_MEMORY = 128 << 20  # of an array
CHUNK_BYTES = 16 << 20


def new_array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array without values; a large one lies in an unnamed file in the working folder."""
    dtype = np.dtype(dtype)
    if int(np.prod(shape)) * dtype.itemsize <= MAX_BYTES_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=Path.cwd()) as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def take_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return `array[rows]`; a large result lies in a file, and large arrays are copied in parts."""
    result = new_array((len(rows), *array.shape[1:]), array.dtype)
    if not isinstance(result, np.memmap) and not isinstance(array, np.memmap):
        return array[rows]
    for part in parts(result):
        result[part] = array[rows[part]]
        release_pages(result)
        release_pages(array)
    return result


def parts(array: np.ndarray) -> Iterator[slice]:
    """Yield slices of rows that cover an array, each of about CHUNK_BYTES."""
    count = max(1, CHUNK_BYTES // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), count):
        yield slice(start, min(start + count, len(array)))


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file, as np.save does."""
    if not isinstance(array, np.memmap):
        np.save(path, array, allow_pickle=False)
        return
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        for part in parts(array):
            file.write(np.ascontiguousarray(array[part]).data)
            release_pages(array)
