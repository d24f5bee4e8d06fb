"""Chunked readers of images for scoring: an .npz file, one image, or a folder of images."""

import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.columns.column import Missing
from hourglass.data.readers.chunks import Chunk, Chunks, InputSpec, ShapeCheck
from hourglass.data.readers.image_files import (
    channels_last,
    check_npz_array,
    decode_image,
    read_header,
    read_npy_header,
)
from hourglass.data.readers.image_folders import images_below
from hourglass.data.readers.table_chunks import array_chunk

CHUNK_BYTES = 16 << 20


def read_npz_chunks(path: Path, spec: InputSpec, accepts: ShapeCheck, missing: Missing) -> Chunks:
    """Yield the array `x` of an .npz file; ids are "<file>/<number>", counted from 0.

    Images are uint8, (N, H, W), (N, H, W, C) or (N, C, H, W); samples of a table are numbers,
    (N, C), in the order of the detector's columns.
    """

    def check(x: np.ndarray) -> None:
        table = bool(spec.columns)
        check_features(x, path, spec) if table else _channels_first(x, path, spec, accepts)

    return _chunks(_read_npz(path, check), path, spec, accepts, missing)


def array_chunks(
    x: np.ndarray, spec: InputSpec, name: Path, accepts: ShapeCheck, missing: Missing
) -> Chunks:
    """Yield an array as `read_npz_chunks` yields that of a file; `name` is its path in messages."""
    rows = _rows_per_chunk(x.shape, x.dtype)
    blocks = (x[i : i + rows] for i in range(0, len(x), rows))
    return _chunks(blocks, name, spec, accepts, missing)


def _chunks(
    blocks: Iterator[np.ndarray],
    path: Path,
    spec: InputSpec,
    accepts: ShapeCheck,
    missing: Missing,
) -> Chunks:
    """Yield a chunk per block of an array; see `read_npz_chunks`."""
    start = 0
    for block in blocks:
        ids = pa.array([f"{path.name}/{i}" for i in range(start, start + len(block))])
        if spec.columns:
            check_features(block, path, spec)
            yield array_chunk(block, ids, spec.columns, path, missing, start)
        else:
            yield Chunk(ids, as_images(block, path, spec, accepts), np.ones(len(block), bool))
        start += len(block)


def read_image_chunks(path: Path, spec: InputSpec, resize: bool, accepts: ShapeCheck) -> Chunks:
    """Yield one image file, or all images below a folder in order of name; skip hidden files.

    Images are converted to grey or colour, as the detector requires. Pixel values are rescaled from
    [0, 255] to [0, spec.full_scale]. Raises a UserError for another size unless `resize` is set.
    """
    white = spec.full_scale
    root = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else images_below(path)
    images = ((file, _read_image(file, spec.sample_shape, resize, accepts)) for file in files)
    for group in _group_by_shape(images):
        x = np.stack([pixels for _, pixels in group])
        if white != 255:
            x = np.round(x * (white / 255)).astype(np.uint8)
        ids = pa.array([file.relative_to(root).as_posix() for file, _ in group])
        yield Chunk(ids, x, np.ones(len(x), bool))


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
    rows = _rows_per_chunk(shape, dtype)
    for start in range(0, shape[0], rows):
        count = min(rows, shape[0] - start)
        content = file.read(count * sample_bytes)
        if len(content) < count * sample_bytes:
            raise EOFError("it ends too early")
        yield np.frombuffer(content, dtype).reshape(count, *shape[1:])


def _rows_per_chunk(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return max(1, CHUNK_BYTES // (math.prod(shape[1:]) * dtype.itemsize or 1))


def as_images(x: np.ndarray, path: Path, spec: InputSpec, accepts: ShapeCheck) -> np.ndarray:
    """Return images (N, C, H, W) from any layout of `read_npz_chunks`, or raise a UserError."""
    return np.ascontiguousarray(_channels_first(x, path, spec, accepts))


def check_features(x: np.ndarray, path: Path, spec: InputSpec) -> None:
    """Raise a UserError unless `x` holds rows of numbers, (N, C)."""
    if x.shape[1:] != spec.sample_shape or x.dtype.kind not in "fiu":
        raise UserError(
            f"x of {path} is {x.dtype} of shape (N, {', '.join(map(str, x.shape[1:]))}), but this "
            f"detector takes numbers of shape (N, {spec.sample_shape[0]})."
        )


def _channels_first(x: np.ndarray, path: Path, spec: InputSpec, accepts: ShapeCheck) -> np.ndarray:
    """Return a view of images, (N, C, H, W), without reading them, or raise a UserError."""
    channels, height, width = spec.sample_shape
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise UserError(
            f"x of {path} is {x.dtype} with {x.ndim} axes; give images as uint8, (N, H, W), "
            "(N, H, W, C) or (N, C, H, W)."
        )
    images = channels_last(x, path).transpose(0, 3, 1, 2)
    if not accepts(images.shape[1:]):
        size = "x".join(map(str, images.shape[1:]))
        raise UserError(
            f"images of {path} are {size}, but this detector takes {channels}x{height}x{width} "
            "(channels, height, width); convert them first."
        )
    return images


def _read_npz(path: Path, check: Callable[[np.ndarray], Any]) -> Iterator[np.ndarray]:
    """Yield the array `x` in pieces, see npy_chunks; numpy's reader would load the whole array."""
    try:
        with zipfile.ZipFile(path) as archive:
            check_npz_array(path, archive, "x")
            with archive.open("x.npy") as file:
                yield from npy_chunks(file, check)
    except UserError:
        raise
    # zipfile and numpy raise exceptions of many types for a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}); write it with numpy.savez, the samples as "
            "an array named x."
        ) from None


def _group_by_shape(
    images: Iterator[tuple[Path, np.ndarray]],
) -> Iterator[list[tuple[Path, np.ndarray]]]:
    """Yield consecutive images of the same shape in groups of limited size."""
    group: list[tuple[Path, np.ndarray]] = []
    for file, pixels in images:
        if group and (
            pixels.shape != group[0][1].shape or len(group) * pixels.nbytes >= CHUNK_BYTES
        ):
            yield group
            group = []
        group.append((file, pixels))
    if group:
        yield group


def _read_image(
    file: Path, sample_shape: tuple[int, ...], resize: bool, accepts: ShapeCheck
) -> np.ndarray:
    """Return one image, (C, H, W) uint8."""
    channels, height, width = sample_shape
    file_width, file_height, _ = read_header(file)
    # Checked before decoding, since a file of kilobytes may announce gigabytes.
    if not resize and not accepts((channels, file_height, file_width)):
        raise UserError(
            f"{file} is {file_width} x {file_height} pixels, but this detector takes {width} x "
            f"{height}; resize it, or add --resize."
        )
    size = (width, height) if resize else None
    return decode_image(file, "L" if channels == 1 else "RGB", size).transpose(2, 0, 1)
