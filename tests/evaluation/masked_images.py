"""A data set of small images with bright defects, whose pixels are known."""

from pathlib import Path

import numpy as np

from hourglass.data.base import DataSet, Fractions, Raw

SIDE = 16


class MaskedImages(DataSet):
    """Smooth images of `side` pixels; of the anomalous ones, the defects are squares or lines."""

    def __init__(
        self, count: int = 200, fractions: Fractions = Fractions(), side: int = SIDE
    ) -> None:
        super().__init__(fractions=fractions)
        self.count = count
        self.side = side

    def load(self, folder: Path) -> Raw:
        """Make the images; `folder` is not read."""
        rng, anomalies = np.random.default_rng(0), 40
        total = self.count + anomalies
        side = self.side
        x = 90 + 20 * np.linspace(0, 1, side) * rng.random((total, 1, side, 1))
        x += rng.normal(0, 3, x.shape)
        mask = np.zeros((total, side, side), bool)
        label = np.full(total, "good", dtype="U8")
        for i in range(self.count, total):
            row, column = rng.integers(1, side - 5, 2)
            is_line = i % 2
            label[i] = "scratch" if is_line else "spot"
            mask[i, row : row + (1 if is_line else 4), column : column + 4] = True
        x[:, 0][mask] += 80
        return Raw(
            x=np.clip(x, 0, 255).astype(np.uint8),
            label=label,
            anomaly=np.asarray(mask.any((1, 2))),
            id=np.array([f"made/{i}" for i in range(total)]),
            source={"name": "made", "licence": "none", "complete": True, "files": {}},
            full_scale=255.0,
            mask=mask,
        )
