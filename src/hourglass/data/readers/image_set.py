"""Reader of many image files: decoded in threads, in one type and shape, into one array."""

import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.geometry import Geometry
from hourglass.data.large_arrays import new_array, take_rows
from hourglass.data.readers.deep_images import Layout
from hourglass.data.readers.image_files import (
    Picture,
    UnreadableImageError,
    decode,
    named_errors,
    read_layout,
)
from hourglass.data.readers.image_format import TYPES, ImageFormat
from hourglass.data.readers.in_threads import in_threads
from hourglass.data.readers.pixels import scale_bytes, white_of_range, with_channels
from hourglass.data.readers.user_files import check_file_type
from hourglass.data.streaming import release_pages
from hourglass.data.tiling import put_padded

Storage: TypeAlias = Literal["auto", "packed", "files"]

# Of the free disk, that packed images may take with `auto`: prepare has three copies at a time.
MAX_DISK_SHARE = 1 / 4
ITEMS_PER_RELEASE = 16
SHOWN_NAMES = 3


@dataclass(frozen=True)
class ImageArrays:
    """The images of a data set, and what is known of their files."""

    x: np.ndarray | None  # (N, C, H, W) uint8, uint16 or float32; None if not packed
    format: ImageFormat
    full_scale: float
    kept: np.ndarray  # (N,) indices of the pictures that could be read
    sizes: np.ndarray  # (N, 2) height and width in the file
    digests: dict[Path, str]  # SHA-256 of each file
    notes: list[str] = field(default_factory=list)  # sentences for the user


def fit_array(
    x: np.ndarray, mask: np.ndarray | None, geometry: Geometry, grey: bool, name: object
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images of an array, (N, H, W, C), and their masks as a data set holds them.

    These are (N, C, height, width) in the same type of number, and (N, height, width) bool.
    """
    size, channels = geometry.size or x.shape[1:3], 1 if grey else x.shape[3]
    if mask is not None:
        mask = np.stack([geometry.mask(each) for each in mask])
    if size == x.shape[1:3] and channels == x.shape[3]:
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), mask
    result = new_array((len(x), channels, *size), x.dtype)
    for row, image in enumerate(x):
        result[row] = geometry(with_channels(image, channels, name)).transpose(2, 0, 1)
    return result, mask


class _OtherLayoutError(Exception):
    """An image does not fit into the format of the first one."""


def read_pictures(
    pictures: Sequence[Picture],
    geometry: Geometry,
    grey: bool = False,
    background: str = "white",
    full_scale: float | None = None,
    skip_damaged: bool = False,
    storage: Storage = "packed",
) -> ImageArrays:
    """Read image files into one array, or only check that they can be read.

    `storage` is "packed" for an array, "files" for none, and "auto" for an array unless it would
    take more than MAX_DISK_SHARE of the free disk.

    The images have one channel if all are grey or if `grey` is set, else three, or the number of
    channels of multi-channel files. Without a size in `geometry`, images of several sizes get the
    median height and width, or to be cut into tiles the largest, with a channel that marks the
    padding. `full_scale` is that of `find_full_scale`. Raises a UserError for a
    damaged file unless `skip_damaged` is set.
    """
    given, notes = geometry, list[str]()
    first = next(filter(None, map(layout_reader(skip_damaged), pictures)), None)
    if first is None:
        raise all_damaged(pictures)
    try:  # most folders hold images of one layout, whose files are then opened once
        image_format = _common_format([first], geometry, grey, background)
        decoded = _decode_all(pictures, image_format, first, skip_damaged, storage)
    except _OtherLayoutError:
        layouts = [*filter(None, in_threads(layout_reader(skip_damaged), pictures))]
        first = layouts[0]
        padded = geometry.fit == "tile" and len({layout[:2] for layout in layouts}) > 1
        if padded:
            height, width = np.max([layout[:2] for layout in layouts], 0)
            first = first._replace(height=int(height), width=int(width))
        elif geometry.size is None and len({layout[:2] for layout in layouts}) > 1:
            height, width = np.rint(np.median([layout[:2] for layout in layouts], 0)).astype(int)
            geometry = Geometry((int(height), int(width)), geometry.fit)
        image_format = _common_format(layouts, geometry, grey, background)
        decoded = _decode_all(pictures, image_format, first, skip_damaged, storage, padded)
    x, sizes, is_byte, ranges, damaged, digests = decoded
    if damaged.any():
        notes.append(_damaged_note(pictures, damaged))
    kept = np.flatnonzero(~damaged)
    if not len(kept):  # their headers are intact
        raise all_damaged(pictures)
    if len(kept) < len(pictures):
        x = None if x is None else take_rows(x, kept)
        sizes, is_byte, ranges = sizes[kept], is_byte[kept], ranges[kept]
    if note := _size_note(sizes, geometry, given):
        notes.append(note)
    dtype = image_format.dtype
    deep = ranges if is_byte.all() else ranges[~is_byte]  # bytes are scaled to these
    white = white_of_range(dtype, deep[:, 0].min(), deep[:, 1].max(), full_scale, "the data set")
    if x is None and storage == "auto":
        notes.append(
            f"the images stay in their files, because packed they would take more than "
            f"{MAX_DISK_SHARE:.0%} of the free disk; do not move or change them"
        )
    if x is not None and dtype != np.uint8:
        pixels = x[:, : image_format.channels]
        for row in np.flatnonzero(is_byte):
            pixels[row] = scale_bytes(pixels[row], dtype, white)
    return ImageArrays(x, image_format, white, kept, sizes, digests, notes)


class _Decoded(NamedTuple):
    x: np.ndarray | None  # (N, C, H, W), or one channel more if padded; None if not packed
    sizes: np.ndarray  # (N, 2) height and width in the file
    is_byte: np.ndarray  # (N,) whether the pixels are bytes in the file
    ranges: np.ndarray  # (N, 2) lowest and highest pixel, of formats of more than 8 bits
    damaged: np.ndarray  # (N,) whether the file is damaged
    digests: dict[Path, str]  # SHA-256 of each file


def _decode_all(
    pictures: Sequence[Picture],
    image_format: ImageFormat,
    layout: Layout,
    skip_damaged: bool,
    storage: Storage,
    padded: bool = False,
) -> _Decoded:
    """Decode images in threads; without a size in the format, all must have that of `layout`.

    If they are `padded`, none is larger, and a last channel marks the padding; see `tiling`.
    """
    count, size = len(pictures), image_format.geometry.size or layout[:2]
    shape, dtype = (count, image_format.channels + padded, *size), image_format.dtype
    x = new_array(shape, dtype) if _is_packed(storage, shape, dtype) else None
    sizes, is_byte = np.zeros((count, 2), int), np.zeros(count, bool)
    ranges = np.zeros((count, 2))
    damaged, digests = np.zeros(count, bool), dict[Path, str]()

    def read(row: int) -> None:
        picture = pictures[row]
        check_file_type(picture.file)
        try:
            with named_errors(picture):  # as of a file that was removed
                content = picture.file.read_bytes() if picture.page is None else None
            stored = decode(picture, image_format.background, content)
        except UnreadableImageError:
            if not skip_damaged:
                raise
            damaged[row] = True
            return
        height, width, channels = stored.shape
        found = Layout(height, width, channels, stored.dtype)
        if not image_format.holds(found):
            raise _OtherLayoutError
        pixels = image_format.fit(stored, picture)
        if pixels.shape[:2] != size and not padded:
            raise _OtherLayoutError
        if padded and x is not None:
            put_padded(x[row], pixels.transpose(2, 0, 1))
        elif x is not None:
            x[row] = pixels.transpose(2, 0, 1)
        if dtype != np.uint8:
            ranges[row] = pixels.min(), pixels.max()
        sizes[row], is_byte[row] = found[:2], found.dtype == np.uint8
        if content is not None:
            digests[picture.file] = hashlib.sha256(content).hexdigest()
        if x is not None and row % ITEMS_PER_RELEASE == 0:
            release_pages(x)

    for _ in in_threads(read, range(count)):
        pass
    for file in {picture.file for picture in pictures if picture.page is not None}:
        digests[file] = sha256(file)
    return _Decoded(x, sizes, is_byte, ranges, damaged, digests)


def _is_packed(storage: Storage, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    if storage != "auto":
        return storage == "packed"
    free = shutil.disk_usage(Path.cwd()).free
    return math.prod(shape) * dtype.itemsize <= MAX_DISK_SHARE * free


def layout_reader(skip_damaged: bool) -> Callable[[Picture], Layout | None]:
    """Return a function that reads a layout; None of a damaged file, if they are skipped."""

    def read(picture: Picture) -> Layout | None:
        try:
            return read_layout(picture)
        except UnreadableImageError:
            if not skip_damaged:
                raise
            return None

    return read


def _common_format(
    layouts: Sequence[Layout], geometry: Geometry, grey: bool, background: str
) -> ImageFormat:
    """Return the narrowest format that holds the layouts."""
    channels = 1 if grey else max(layout.channels for layout in layouts)
    dtype = TYPES[max(TYPES.index(layout.dtype) for layout in layouts)]
    return ImageFormat(channels, dtype, geometry, grey, background)


def all_damaged(pictures: Sequence[Picture]) -> UserError:
    """Return the error of a data set without an intact image."""
    return UserError(f"{pictures[0]} and all other images are damaged; replace them.")


def _damaged_note(pictures: Sequence[Picture], damaged: np.ndarray) -> str:
    names = [str(pictures[row]) for row in np.flatnonzero(damaged).tolist()]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"skipped {counted(len(names), 'damaged file')}: {', '.join(names[:SHOWN_NAMES])}{more}"


def _size_note(sizes: np.ndarray, geometry: Geometry, given: Geometry) -> str:
    """Return a sentence about images that are padded or cropped; "" if there are none."""
    if geometry.size is None or geometry.fit == "resize":
        return ""
    height, width = geometry.size
    different = np.abs(sizes[:, 0] * width - sizes[:, 1] * height) > np.maximum(*sizes.T)
    if not different.any():
        return ""
    verb = "padded" if geometry.fit == "pad" else "cropped"
    origin = "the median size" if given.size is None else "`size`"
    return (
        f"{different.sum():,} of {counted(len(sizes), 'image')} have another aspect ratio than "
        f"{height} x {width} (height x width, {origin}) and are {verb}; `fit: resize` would "
        "stretch them, and `size: [height, width]` sets another shape"
    )
