"""Chunked readers of images for scoring: an array file, an image, a folder or a table of images."""

import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.columns.column import Missing
from hourglass.data.geometry import Geometry
from hourglass.data.readers import numpy_files
from hourglass.data.readers.chunks import Chunk, Chunks, InputSpec, ShapeCheck
from hourglass.data.readers.image_arrays import channels_last, group_arrays
from hourglass.data.readers.image_files import (
    Picture,
    UnreadableImageError,
    decode,
    pictures_in,
    read_layout,
)
from hourglass.data.readers.image_folders import images_below
from hourglass.data.readers.image_index import is_index, read_index
from hourglass.data.readers.in_threads import in_threads
from hourglass.data.readers.numpy_files import (
    check_npz_array,
    npy_chunks,
    read_shapes,
    rows_per_chunk,
)
from hourglass.data.readers.pixels import as_type, plain_type, scale_bytes, with_channels
from hourglass.data.readers.table_chunks import array_chunk

Sized: TypeAlias = tuple[Picture, np.ndarray, tuple[int, int]]  # see `read_image`


def read_array_chunks(path: Path, spec: InputSpec, accepts: ShapeCheck, missing: Missing) -> Chunks:
    """Yield the samples of an .npz or .npy file; ids are "<file>/<number>", counted from 0.

    Images are arrays of any name, see `group_arrays`; those of several parts follow each other.
    Samples of a table are the array `x` of numbers, (N, C), in the order of the detector's columns.
    """

    def check(x: np.ndarray) -> None:
        table = bool(spec.columns)
        check_features(x, path, spec) if table else _check_images(x, path, spec, accepts)

    return _chunks(_read_arrays(path, bool(spec.columns), check), path, spec, accepts, missing)


def array_chunks(
    x: np.ndarray, spec: InputSpec, name: Path, accepts: ShapeCheck, missing: Missing
) -> Chunks:
    """Yield an array as `read_array_chunks` yields a file; `name` is its path in messages."""
    rows = rows_per_chunk(x.shape, x.dtype)
    blocks = (x[i : i + rows] for i in range(0, len(x), rows))
    return _chunks(blocks, name, spec, accepts, missing)


def _chunks(
    blocks: Iterator[np.ndarray],
    path: Path,
    spec: InputSpec,
    accepts: ShapeCheck,
    missing: Missing,
) -> Chunks:
    """Yield a chunk per block of an array; see `read_array_chunks`."""
    start = 0
    for block in blocks:
        ids = pa.array([f"{path.name}/{i}" for i in range(start, start + len(block))])
        if spec.columns:
            check_features(block, path, spec)
            yield array_chunk(block, ids, spec.columns, path, missing, start)
        else:
            size = _check_images(block, path, spec, accepts).shape[2:]
            x, complete = as_images(block, path, spec, accepts), np.ones(len(block), bool)
            yield Chunk(ids, x, complete, sizes=np.tile(size, (len(block), 1)))
        start += len(block)


def read_image_chunks(
    path: Path, spec: InputSpec, resize: bool, accepts: ShapeCheck, skip_damaged: bool = False
) -> Chunks:
    """Yield one image file, the images below a folder in order of name, or those of a table.

    Hidden files and masks are skipped. Images get the form of those of `prepare`: the channels, the
    type, the value of white and, if those were scaled to a size, the size. Raises a UserError for
    another size, unless `resize` is set, and for a damaged file, unless `skip_damaged` is set.
    """
    if is_index(path):
        images = read_index(path)
        root, pictures = images.root, images.pictures
    else:
        root = path if path.is_dir() else path.parent
        pictures = images_below(path) if path.is_dir() else pictures_in(path)

    def read(picture: Picture) -> Sized | None:
        try:
            return picture, *read_image(picture, spec, resize, accepts)
        except UnreadableImageError as error:
            if not skip_damaged:
                raise
            print(f"skipped: {error}", file=sys.stderr)
            return None

    # Large images are read one after the other, as each may take a tenth of a gigabyte.
    is_large = spec.image_format.geometry.fit == "tile"
    found = map(read, pictures) if is_large else in_threads(read, pictures, per_task=1)
    for group in _group_by_shape(filter(None, found)):
        x = group[0][1][None] if len(group) == 1 else np.stack([pixels for _, pixels, _ in group])
        ids = pa.array([picture.name(root) for picture, *_ in group])
        sizes = np.array([size for *_, size in group])
        group.clear()
        yield Chunk(ids, x, np.ones(len(x), bool), sizes=sizes)


def as_images(x: np.ndarray, path: Path, spec: InputSpec, accepts: ShapeCheck) -> np.ndarray:
    """Return images (N, C, H, W) from any layout of `read_array_chunks`, or raise a UserError.

    They have the type of the detector's images, and their size if those were scaled to it. Colours
    become grey if `prepare` made them grey.
    """
    geometry = spec.image_format.geometry
    images, name = _check_images(x, path, spec, accepts), f"x of {path}"
    if images.shape[1] != spec.sample_shape[0]:
        plain = plain_type(images.transpose(0, 2, 3, 1), name)
        grey = np.stack([with_channels(each, 1, name) for each in plain])
        images = grey.transpose(0, 3, 1, 2)
    if not accepts(images.shape[1:]):
        images = np.stack([geometry(each.transpose(1, 2, 0)).transpose(2, 0, 1) for each in images])
    typed, needed = plain_type(images, name), spec.image_format.dtype
    if needed == np.uint16 and images.dtype not in (np.uint8, bool):  # not bytes, even if small
        typed = typed.astype(needed, copy=False)
    typed = as_type(typed, needed, spec.full_scale, name)
    return np.ascontiguousarray(typed)


def check_features(x: np.ndarray, path: Path, spec: InputSpec) -> None:
    """Raise a UserError unless `x` holds rows of numbers, (N, C)."""
    if x.shape[1:] != spec.sample_shape or x.dtype.kind not in "fiu":
        raise UserError(
            f"x of {path} is {x.dtype} of shape (N, {', '.join(map(str, x.shape[1:]))}), but this "
            f"detector takes numbers of shape (N, {spec.sample_shape[0]})."
        )


def _check_images(x: np.ndarray, path: Path, spec: InputSpec, accepts: ShapeCheck) -> np.ndarray:
    """Return a view of images, (N, C, H, W), without reading them, or raise a UserError."""
    channels, height, width = spec.sample_shape
    needed = spec.image_format.dtype
    kinds = "f" if needed.kind == "f" else "biu"
    if x.dtype.kind not in kinds or x.ndim not in (3, 4):
        raise UserError(
            f"x of {path} is {x.dtype} with {x.ndim} axes; give images as {needed}, (N, H, W), "
            "(N, H, W, C) or (N, C, H, W)."
        )
    images = channels_last(x, path).transpose(0, 3, 1, 2)
    made_grey = spec.image_format.grey and channels == 1 and images.shape[1] == 3
    shape = (1, *images.shape[2:]) if made_grey else images.shape[1:]
    is_scaled = spec.image_format.geometry.size is not None and shape[0] == channels
    if not (is_scaled or accepts(shape)):
        size = "x".join(map(str, images.shape[1:]))
        raise UserError(
            f"images of {path} are {size}, but this detector takes {channels}x{height}x{width} "
            "(channels, height, width); convert them first."
        )
    return images


def _read_arrays(
    path: Path, is_table: bool, check: Callable[[np.ndarray], Any]
) -> Iterator[np.ndarray]:
    """Yield arrays in pieces, see npy_chunks; numpy's reader would load each as a whole."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                yield from npy_chunks(file, check)
            return
        names = ["x"]
        if not is_table:
            names = [group.x for group in group_arrays(read_shapes(path), path)]
        with zipfile.ZipFile(path) as archive:
            for name in names:
                check_npz_array(path, archive, name)
                with archive.open(f"{name}.npy") as file:
                    yield from npy_chunks(file, check)
    except UserError:
        raise
    # zipfile and numpy raise exceptions of many types for a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}); write it with numpy.savez, the samples as "
            "an array named x."
        ) from None


def _group_by_shape(images: Iterator[Sized]) -> Iterator[list[Sized]]:
    """Yield consecutive images of the same shape in groups of limited size."""
    group: list[Sized] = []
    for picture, pixels, size in images:
        if group and pixels.shape != group[0][1].shape:
            yield group
            group = []
        group.append((picture, pixels, size))
        if len(group) * pixels.nbytes >= numpy_files.CHUNK_BYTES:
            del pixels  # a large image is freed as soon as its chunk is
            yield group
            group = []
    if group:
        yield group


def read_image(
    picture: Picture, spec: InputSpec, resize: bool, accepts: ShapeCheck
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return one image, (C, H, W), in the form of the detector's images, and the size in its file.

    The size is the height and width of the upright image.

    Raises a UserError, before it is decoded, if it has another size, unless `resize` is set, or
    channels that do not fit.
    """
    channels, height, width = spec.sample_shape
    form = spec.image_format
    layout = read_layout(picture)
    geometry = form.geometry
    # Checked before decoding, since a file of kilobytes may announce gigabytes.
    if accepts((channels, layout.height, layout.width)):
        geometry = Geometry()
    elif geometry.size is None and resize:
        geometry = Geometry((height, width), "resize")
    elif geometry.size is None:
        remedy = "resize it, or add --resize" if picture.content is None else "resize it first"
        raise UserError(
            f"{picture} is {layout.width} x {layout.height} pixels, but this detector takes "
            f"{width} x {height}; {remedy}."
        )
    with_channels(np.zeros((1, 1, layout.channels), np.uint8), channels, picture)
    pixels = form.fit(decode(picture, form.background), picture, geometry)
    if pixels.dtype == np.uint8:  # 255 is white in a file, whatever it is in the data set
        typed = scale_bytes(pixels, form.dtype, spec.full_scale)
    else:
        typed = as_type(pixels, form.dtype, spec.full_scale, picture)
    return typed.transpose(2, 0, 1), (layout.height, layout.width)
