"""Photographs: colour patches of scikit-learn's two bundled photographs, all of them normal."""

from pathlib import Path

import numpy as np

from hourglass.data.base import DataSet, Raw
from hourglass.data.sklearn_bundled import fingerprint

SIDE = 16  # pixels of a patch


class Photographs(DataSet):
    """Cut a temple ("china") and a flower into 1,040 patches each that do not overlap.

    (N, 3, 16, 16) uint8; what is left over at the lower edge belongs to no patch. Labelled by their
    photograph; there are no anomalies. Needs neither a network nor files.
    """

    def load(self, folder: Path) -> Raw:
        """Return all 2,080 patches, row by row of each photograph; `folder` is not read."""
        from sklearn.datasets import load_sample_images

        bunch = load_sample_images()
        files = [Path(name).name for name in bunch.filenames]
        cut = [patches(image, SIDE) for image in bunch.images]
        counts = [len(each) for each in cut]
        stems = [Path(name).stem for name in files]
        return Raw(
            x=np.concatenate(cut),
            label=np.repeat(stems, counts),
            anomaly=np.zeros(sum(counts), bool),
            id=np.array(
                [f"{stem}/{i}" for stem, n in zip(stems, counts, strict=True) for i in range(n)]
            ),
            source={
                "name": "photographs",
                "licence": "CC BY 2.0 (danielbuechele and vultilion, Flickr)",
                "complete": True,
                "files": {k: v for name in files for k, v in fingerprint(name, "images").items()},
            },
            full_scale=255.0,
        )


def patches(image: np.ndarray, side: int) -> np.ndarray:
    """Return the squares of an image side by side: (H, W, C) -> (N, C, side, side)."""
    height, width, channels = image.shape
    rows, columns = height // side, width // side
    whole = image[: rows * side, : columns * side]
    grid = whole.reshape(rows, side, columns, side, channels).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(grid.reshape(-1, channels, side, side))
