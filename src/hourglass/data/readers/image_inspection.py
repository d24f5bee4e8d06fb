"""Summary of images for `add` and `try`, before they are prepared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.data.readers.image_arrays import read_image_array
from hourglass.data.readers.image_folders import UNNAMED, list_images
from hourglass.data.readers.image_index import is_index, read_index
from hourglass.data.readers.image_set import all_damaged, layout_reader
from hourglass.data.readers.in_threads import in_threads
from hourglass.data.readers.numpy_files import SUFFIXES as ARRAY_SUFFIXES


@dataclass(frozen=True)
class ImageSummary:
    """Classes, sizes and types of images."""

    labels: np.ndarray  # (N,) str
    is_test: np.ndarray  # (N,) bool: the official test part; False without one
    sizes: np.ndarray  # (N, 2) height and width
    channels: int
    dtype: np.dtype  # the widest
    normal: str | None = None  # the class that is normal by the layout
    has_masks: bool = False


def inspect_images(
    path: Path, columns: Mapping[str, str] | None = None, skip_damaged: bool = False
) -> ImageSummary:
    """Describe a folder or table of images, or an array file. Image files are not decoded.

    `columns` are those of `read_index`. Raises a UserError for a damaged file unless they are
    skipped.
    """
    if path.is_file() and path.suffix.lower() in ARRAY_SUFFIXES:
        images = read_image_array(path)
        n = len(images.x)
        label = np.full(n, UNNAMED) if images.label is None else images.label
        test = np.zeros(n, bool) if images.is_test is None else images.is_test
        sizes = np.tile(images.x.shape[1:3], (n, 1))
        has_masks = images.mask is not None
        return ImageSummary(label, test, sizes, images.x.shape[3], images.x.dtype, None, has_masks)
    found = read_index(path, columns) if is_index(path) else list_images(path)
    read = [*in_threads(layout_reader(skip_damaged), found.pictures)]
    layouts = [layout for layout in read if layout is not None]
    kept = np.array([layout is not None for layout in read])
    if not layouts:
        raise all_damaged(found.pictures)
    return ImageSummary(
        np.array(found.labels or [UNNAMED] * len(read))[kept],
        np.array(found.is_test or [False] * len(read))[kept],
        np.array([layout[:2] for layout in layouts]),
        max(layout.channels for layout in layouts),
        max((layout.dtype for layout in layouts), key=lambda dtype: dtype.itemsize),
        found.normal,
        found.masks is not None,
    )
