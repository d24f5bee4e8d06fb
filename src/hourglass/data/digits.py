"""Digits: handwritten digits bundled with scikit-learn, 8 x 8 pixels."""

from pathlib import Path

import numpy as np

from hourglass.data.base import DataSet, Raw
from hourglass.data.sklearn_bundled import bundled_checksums


class Digits(DataSet):
    """Digits 0 to 7 (normal, 1,443 images), and 8 and 9 (anomalous, 354 images).

    (N, 1, 8, 8) uint8 from 0 to 16. No download is needed.
    """

    def load(self, folder: Path) -> Raw:
        """Load all 1,797 images; `folder` is not read."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return Raw(
            x=bunch.images.astype(np.uint8)[:, None],
            label=bunch.target.astype(str),
            anomaly=bunch.target >= 8,
            id=np.array([f"digits/{i}" for i in range(len(bunch.target))]),
            source={
                "name": "digits",
                "licence": "Alpaydin and Kaynak 1998, UCI Machine Learning Repository (CC BY 4.0)",
                "complete": True,
                "files": bundled_checksums("data/digits.csv.gz"),
            },
            full_scale=16.0,
        )
