"""Reader of the masks of images: (N, H, W) bool with the geometry of the images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hourglass.core.suggestions import counted
from hourglass.data.geometry import Geometry
from hourglass.data.large_arrays import new_array
from hourglass.data.readers.image_files import Picture, decode
from hourglass.data.readers.in_threads import in_threads


def read_masks(
    masks: Sequence[Path | None],
    sizes: np.ndarray,
    geometry: Geometry,
    anomaly: np.ndarray | None,
) -> tuple[np.ndarray, list[str]]:
    """Return the masks of images, (N, height, width) bool, and sentences about missing ones.

    A pixel of a mask that is not 0 is defective. `sizes` are the heights and widths of the images
    in their files, (N, 2): a mask of another size is not used. Images without a mask have no
    defective pixel. `anomaly` is the mask of anomalous images, (N,), if they are known.
    """
    height, width = geometry.size or sizes.max(0)
    result = new_array((len(masks), height, width), bool)
    used = np.zeros(len(masks), bool)

    def read(row: int) -> None:
        file = masks[row]
        if file is None:
            return
        mask: np.ndarray = (decode(Picture(file), "black") != 0).any(axis=2)
        if mask.shape == tuple(sizes[row]):
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
                "mask or an empty one; their pixels count as normal"
            )
    return result, notes
