"""Stream images: an .npz file, one image, or a folder of them."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.chunks import Accepts, Chunk, Chunks, InputSpec
from hourglass.data.readers.image_files import SUFFIXES, channels_last, decode, head

BYTES = 16 << 20  # of a portion


def of_npz(path: Path, spec: InputSpec, accepts: Accepts) -> Chunks:
    """Yield the samples of the array `x`, called "<file>/<number>", numbers from 0.

    Images are uint8, (N, H, W), (N, H, W, C) or (N, C, H, W); samples of a table (N, F), their
    features in the detector's order.
    """
    start, table = 0, bool(spec.feature_names)
    for x in _read(path):
        x = as_features(x, path, spec) if table else as_images(x, path, spec, accepts)
        numbers = range(start, start + len(x))
        names = pa.array([f"{path.name}/{i}" for i in numbers])
        yield Chunk(names, x, np.isfinite(x.reshape(len(x), -1)).all(1))
        start += len(x)


def _read(path: Path) -> Iterator[np.ndarray]:
    """Yield the array `x` in pieces: numpy itself would read it as a whole."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("x.npy") as file:
            yield from pieces(file)
    # A damaged file makes zipfile and numpy raise errors of a dozen kinds.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}); write it with numpy.savez, the samples as "
            "an array named x."
        ) from None


def pieces(file: IO[bytes]) -> Iterator[np.ndarray]:
    """Yield an array as numpy.save writes it, in pieces; damage raises errors of several kinds."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, column_major, dtype = read(file)
    if dtype.hasobject or len(shape) < 2 or min(shape[1:]) < 1 or shape[0] < 0:
        raise ValueError(f"x is an array of {dtype} of shape {shape}, which holds no samples")
    size = math.prod(shape[1:]) * dtype.itemsize
    if column_major:  # a sample is spread over all of it
        content = file.read(shape[0] * size + 1)  # no more, whatever the file would give
        yield np.frombuffer(content, dtype).reshape(shape, order="F")
        return
    for start in range(0, shape[0], max(1, BYTES // size)):
        count = min(max(1, BYTES // size), shape[0] - start)
        content = file.read(count * size)
        if len(content) < count * size:
            raise EOFError("it ends too early")
        yield np.frombuffer(content, dtype).reshape(count, *shape[1:])


def as_features(x: np.ndarray, path: Path, spec: InputSpec) -> np.ndarray:
    """Return rows (N, F) as float32; raises a UserError for other shapes, and what is no number."""
    if x.shape[1:] != spec.sample_shape or x.dtype.kind not in "fiu":
        raise UserError(
            f"x of {path} is {x.dtype} of shape (N, {', '.join(map(str, x.shape[1:]))}), but this "
            f"detector takes numbers of shape (N, {spec.sample_shape[0]})."
        )
    return x.astype(np.float32)


def as_images(x: np.ndarray, path: Path, spec: InputSpec, accepts: Accepts) -> np.ndarray:
    """Return images (N, C, H, W) from any layout that `of_npz` takes, else raise a UserError."""
    channels, height, width = spec.sample_shape
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise UserError(f"x of {path} is {x.dtype} with {x.ndim} axes; give images as uint8.")
    found = channels_last(x, path).transpose(0, 3, 1, 2)
    if not accepts(found.shape[1:]):
        size = "x".join(map(str, found.shape[1:]))
        raise UserError(
            f"images of {path} are {size}, but this detector takes {channels}x{height}x{width} "
            "(channels, height, width); convert them first."
        )
    return np.ascontiguousarray(found)


def of_files(path: Path, spec: InputSpec, resize: bool, accepts: Accepts) -> Chunks:
    """Yield one image file, or all below a folder, by name; hidden ones are passed over.

    They are read as grey or in colour, as the detector needs, and white, 255 in a file, becomes
    what is white to the spec. Those of another size are refused, or with `resize` resized.
    """
    white = spec.full_scale
    root = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else _below(path)
    if not files:
        raise UserError(f"{path} holds no image ({', '.join(sorted(SUFFIXES))}).")
    read = ((file, _image(file, spec.sample_shape, resize, accepts)) for file in files)
    for chosen in _alike(read):
        x = np.stack([pixels for _, pixels in chosen])
        if white != 255:
            x = np.round(x * (white / 255)).astype(np.uint8)
        names = pa.array([file.relative_to(root).as_posix() for file, _ in chosen])
        yield Chunk(names, x, np.ones(len(x), bool))


def _alike(read: Iterator[tuple[Path, np.ndarray]]) -> Iterator[list[tuple[Path, np.ndarray]]]:
    """Yield images one after the other, as long as they are of one shape and not too many."""
    held: list[tuple[Path, np.ndarray]] = []
    for file, pixels in read:
        if held and (pixels.shape != held[0][1].shape or len(held) * pixels.nbytes >= BYTES):
            yield held
            held = []
        held.append((file, pixels))
    if held:
        yield held


def _below(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(
        file for file in found if not any(p[0] == "." for p in file.relative_to(folder).parts)
    )


def _image(file: Path, sample_shape: tuple[int, ...], resize: bool, accepts: Accepts) -> np.ndarray:
    """Return one image, (C, H, W) uint8."""
    channels, height, width = sample_shape
    wide, high, _ = head(file)  # which refuses more than 8 bits
    # Before it is decoded: a file of kilobytes may announce gigabytes.
    if not resize and not accepts((channels, high, wide)):
        raise UserError(
            f"{file} is {wide} x {high} pixels, but this detector takes {width} x {height}; resize "
            "it, or add --resize."
        )
    size = (width, height) if resize else None
    return decode(file, "L" if channels == 1 else "RGB", size).transpose(2, 0, 1)
