"""Digits: scikit-learn's bundled 8 x 8 handwritten digits; 8 and 9 are the anomalies."""

from pathlib import Path

import numpy as np

from hourglass.data.base import DataSet, Raw
from hourglass.data.sklearn_bundled import fingerprint


class Digits(DataSet):
    """Call the digits 0 to 7 normal (1,443 images) and 8 and 9 anomalous (354).

    (N, 1, 8, 8) uint8 from 0 to 16. Needs neither a network nor files.
    """

    def load(self, folder: Path) -> Raw:
        """Return all 1,797 images; `folder` is not read."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        n = len(bunch.target)
        return Raw(
            x=bunch.images.astype(np.uint8)[:, None],
            label=bunch.target.astype(str),
            anomaly=bunch.target >= 8,
            id=np.array([f"digits/{i}" for i in range(n)]),
            source={
                "name": "digits",
                "licence": "Alpaydin and Kaynak 1998, UCI Machine Learning Repository (CC BY 4.0)",
                "complete": True,
                "files": fingerprint("digits.csv.gz"),
            },
            full_scale=16.0,
        )
