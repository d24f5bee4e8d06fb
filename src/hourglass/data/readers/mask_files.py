"""Reader of the masks of images: (N, H, W) bool with the geometry of the images."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import counted
from hourglass.data.geometry import Geometry
from hourglass.data.large_arrays import new_array
from hourglass.data.readers.image_files import Picture, UnreadableImageError, decode
from hourglass.data.readers.in_threads import in_threads

LOSSY_SUFFIXES = (".jfif", ".jpeg", ".jpg")


class Masks(NamedTuple):
    """The masks of images."""

    mask: np.ndarray  # (N, height, width) bool
    is_defective: np.ndarray  # (N,) bool: whether any pixel of the file is, even if cut off
    notes: list[str]  # sentences about masks that are missing or not used


def read_masks(
    masks: Sequence[Path | None],
    sizes: np.ndarray,
    geometry: Geometry,
    anomaly: np.ndarray | None,
    decide: bool = False,
) -> Masks:
    """Return the masks of images.

    A pixel of a mask is defective if it is not 0, or in a JPEG if it is brighter than half of the
    brightest. `sizes` are the heights and widths of the images in their files, (N, 2): a mask of
    another size is not used. Images without a mask have no defective pixel. `anomaly` is the mask
    of anomalous images, (N,), if they are known.

    Raises a UserError for a damaged mask. If masks `decide` which images are anomalous, raises one
    for a mask of another size as well.
    """
    height, width = geometry.size or sizes.max(0)
    result = new_array((len(masks), height, width), bool)
    used, is_defective = np.zeros(len(masks), bool), np.zeros(len(masks), bool)

    def read(row: int) -> None:
        file = masks[row]
        if file is None:
            return
        mask = _read_mask(file)
        if decide and mask.shape != tuple(sizes[row]):
            raise UserError(
                f"the mask {file} is {mask.shape[1]} x {mask.shape[0]} pixels, but its image is "
                f"{sizes[row, 1]} x {sizes[row, 0]}; replace the mask, because masks decide which "
                "images are normal."
            )
        if mask.shape == tuple(sizes[row]):
            is_defective[row] = mask.any()
            mask = geometry.mask(mask)
            result[row, : mask.shape[0], : mask.shape[1]] = mask
            used[row] = True

    for _ in in_threads(read, range(len(masks))):
        pass
    notes = []
    given = np.array([mask is not None for mask in masks])
    if (given & ~used).any():
        row = int(np.flatnonzero(given & ~used)[0])
        notes.append(
            f"{counted(int((given & ~used).sum()), 'mask')} have another size than their image and "
            f"are not used, such as {masks[row]}"
        )
    if anomaly is not None:
        unmarked = [row for row in np.flatnonzero(anomaly) if not result[row].any()]
        if unmarked:
            notes.append(
                f"{len(unmarked):,} of {counted(int(anomaly.sum()), 'anomalous image')} have no "
                "mask or an empty one; metrics of pixels leave them out"
            )
    return Masks(result, is_defective, notes)


def _read_mask(file: Path) -> np.ndarray:
    """Return the defective pixels of a mask, (H, W) bool, in the size of the file."""
    try:
        pixels = decode(Picture(file), "black")
        # Near the edges of a mask, lossy compression leaves small values.
        least = pixels.max(initial=0) / 2 if file.suffix.lower() in LOSSY_SUFFIXES else 0
        defective: np.ndarray = np.any(pixels > least, axis=2)
    except UnreadableImageError as error:
        raise UserError(
            f"the mask {file} cannot be read ({one_line(error.__cause__ or error)}); replace it, "
            "or remove it from the data set."
        ) from error
    return defective
