"""NumPy's files, .npy and .npz: headers without the content, whole arrays, and arrays in pieces."""

import io
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import quote
from hourglass.data.geometry import MAX_PIXELS
from hourglass.data.readers.user_files import check_file_type

SUFFIXES = (".npy", ".npz")
MAX_NPY_HEADER_BYTES = 10_012  # NumPy's limit; NumPy checks it after reading the header
CHUNK_BYTES = 16 << 20
ONLY = ""  # the name of the array of an .npy file
Header: TypeAlias = tuple[tuple[int, ...], bool, np.dtype[Any]]  # shape, column order and type


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name; the header of each is checked first."""
    check_file_type(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{path} is neither an .npz or .npy file nor a folder or a table of images; give one "
            "of these."
        )
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                _check_header(file, path.stat().st_size, path, ONLY)
            return {ONLY: np.load(path, allow_pickle=False)}
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                check_npz_array(path, archive.zip, name)
            return {name: archive[name] for name in archive.files}
    except UserError:
        raise
    # zipfile and NumPy raise many types of errors for a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as {path.suffix.lower()} ({one_line(error)}); write it again "
            "with NumPy, without Python objects in it."
        ) from error


def read_npy_header(file: IO[bytes]) -> Header:
    """Return shape, column order and type of an open .npy file, which is then at its content."""
    head = io.BytesIO(file.read(MAX_NPY_HEADER_BYTES))
    version = np.lib.format.read_magic(head)
    read_array_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read_array_header = np.lib.format.read_array_header_2_0
    header: Header = read_array_header(head)
    file.seek(head.tell())
    return header


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a file by name, without reading their content."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            return {ONLY: read_npy_header(file)[0]}
    return {name: shape for name, (shape, *_) in read_npz_headers(path).items()}


def read_npz_headers(path: Path) -> dict[str, Header]:
    """Return the headers of the arrays of an .npz file by name, see `read_npy_header`."""
    headers = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    headers[member.removesuffix(".npy")] = read_npy_header(file)
    return headers


def check_npz_array(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    """Check the header of an array, without reading the content.

    Raises a UserError if it declares more bytes than the archive holds, or more than MAX_PIXELS.
    """
    with archive.open(f"{name}.npy") as file:
        _check_header(file, archive.getinfo(f"{name}.npy").file_size, path, name)


def _check_header(file: IO[bytes], held: int, path: Path, name: str) -> None:
    shape, _, dtype = read_npy_header(file)
    declared = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and declared > held:
        raise UserError(
            f"{array_title(name, path)} declares {declared:,} bytes, but the file holds {held:,}; "
            "write it again with NumPy."
        )
    channels = min(shape[1], shape[3]) if len(shape) == 4 else 1
    if len(shape) > 2 and math.prod(shape[1:]) > channels * MAX_PIXELS:
        raise UserError(
            f"the images of {path} have the shape {quote(shape[1:])}, more than {MAX_PIXELS:,} "
            "pixels; resize them first."
        )


def array_title(name: str | None, path: Path) -> str:
    """Return the name of an array in messages; that of an .npy file has none."""
    return f"the array {name!r} of {path}" if name else f"the array of {path}"


def npy_chunks(file: IO[bytes], check: Callable[[np.ndarray], Any]) -> Iterator[np.ndarray]:
    """Yield the array of an open .npy file in pieces along its first axis.

    `check` gets an array of the declared shape and type without content, before content is read.
    Reading a damaged file raises exceptions of several types.
    """
    shape, column_major, dtype = read_npy_header(file)
    if dtype.hasobject or len(shape) < 2 or min(shape[1:]) < 1 or shape[0] < 0:
        raise ValueError(f"x is an array of {dtype} of shape {shape}, which holds no samples")
    check(np.broadcast_to(np.zeros((), dtype), shape))
    sample_bytes = math.prod(shape[1:]) * dtype.itemsize
    if column_major:  # a sample is spread over the whole array
        content = file.read(shape[0] * sample_bytes + 1)  # limited: damaged files can expand hugely
        yield np.frombuffer(content, dtype).reshape(shape, order="F")
        return
    rows = rows_per_chunk(shape, dtype)
    for start in range(0, shape[0], rows):
        count = min(rows, shape[0] - start)
        content = file.read(count * sample_bytes)
        if len(content) < count * sample_bytes:
            raise EOFError("it ends too early")
        yield np.frombuffer(content, dtype).reshape(count, *shape[1:])


def rows_per_chunk(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Return the number of samples that take about CHUNK_BYTES, at least 1."""
    return max(1, CHUNK_BYTES // (math.prod(shape[1:]) * dtype.itemsize or 1))
