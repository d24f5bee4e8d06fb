"""Photographs: colour patches of the two photographs bundled with scikit-learn."""

from pathlib import Path

import numpy as np

from hourglass.data.base import DataSet, Raw
from hourglass.data.sklearn_bundled import bundled_checksums

PATCH_PIXELS = 16


class Photographs(DataSet):
    """Patches of two photographs, a temple ("china") and a flower, all normal.

    There are 1,040 patches per photograph, (N, 3, 16, 16) uint8, without overlap. The label is the
    photograph. The remainder at the lower edge is not used. No download is needed.
    """

    def load(self, folder: Path) -> Raw:
        """Load all 2,080 patches, row by row of each photograph; `folder` is not read."""
        from sklearn.datasets import load_sample_images

        bunch = load_sample_images()
        paths = [Path(name) for name in bunch.filenames]
        parts = [patches(image, PATCH_PIXELS) for image in bunch.images]
        counts = [len(part) for part in parts]
        ids = [
            f"{path.stem}/{i}"
            for path, count in zip(paths, counts, strict=True)
            for i in range(count)
        ]
        return Raw(
            x=np.concatenate(parts),
            label=np.repeat([path.stem for path in paths], counts),
            anomaly=np.zeros(sum(counts), bool),
            id=np.array(ids),
            source={
                "name": "photographs",
                "licence": "CC BY 2.0 (danielbuechele and vultilion, Flickr)",
                "complete": True,
                "files": bundled_checksums(*(f"images/{path.name}" for path in paths)),
            },
            full_scale=255.0,
        )


def patches(image: np.ndarray, side: int) -> np.ndarray:
    """Cut an image into adjacent squares: (H, W, C) -> (N, C, side, side)."""
    height, width, channels = image.shape
    rows, columns = height // side, width // side
    whole = image[: rows * side, : columns * side]
    grid = whole.reshape(rows, side, columns, side, channels).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(grid.reshape(-1, channels, side, side))
