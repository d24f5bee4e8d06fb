"""Arrays that lie in a temporary file where they are too large for memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.lazy_array import LazyArray
from hourglass.data.streaming import release_pages

MAX_BYTES_IN_MEMORY = 32 << 20  # of an array; several have this size at the same time
CHUNK_BYTES = 4 << 20  # some steps need ten times as much


def new_array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of zeros; a large one lies in an unnamed file in the working folder."""
    dtype = np.dtype(dtype)
    if int(np.prod(shape)) * dtype.itemsize <= MAX_BYTES_IN_MEMORY:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=Path.cwd()) as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def new_indices(count: int, limit: int) -> np.ndarray:
    """Return an array, (count,), for integers from 0 to below `limit`."""
    return new_array((count,), np.int32 if limit < 2**31 else np.int64)


def take_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return `array[rows]`; a large result lies in a file, and large arrays are copied in parts.

    Rows of a lazy array are lazy.
    """
    if isinstance(array, LazyArray):
        return array.subset(rows)
    result = new_array((len(rows), *array.shape[1:]), array.dtype)
    if not isinstance(result, np.memmap) and not isinstance(array, np.memmap):
        return array[rows]
    for part in parts(result):
        result[part] = array[rows[part]]
        release_pages(result)
        release_pages(array)
    return result


def joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Return at least one array joined along the rows; a large result lies in a file.

    `arrays` then holds this result alone, so that the parts take no memory.
    """
    if len(arrays) > 1:
        count = sum(map(len, arrays))
        result, end = new_array((count, *arrays[0].shape[1:]), arrays[0].dtype), 0
        for i, array in enumerate(arrays):
            result[end : end + len(array)] = array
            end += len(array)
            arrays[i] = array[:0]
            release_pages(result)
        arrays[:] = [result]
    return arrays[0]


def true_rows(mask: np.ndarray) -> np.ndarray:
    """Return the indices of the rows, (N,) bool, that are true, as `np.flatnonzero` does."""
    result, end = new_indices(int(np.count_nonzero(mask)), len(mask)), 0
    for part in parts(mask):
        found = np.flatnonzero(mask[part])
        start, end = end, end + len(found)
        np.add(found, part.start, out=result[start:end], casting="same_kind")
        release_pages(result)
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
