"""Breast cancer: measurements of cell nuclei, bundled with scikit-learn."""

from pathlib import Path

import numpy as np

from hourglass.data.base import DataSet, Raw
from hourglass.data.columns.column import Column
from hourglass.data.sklearn_bundled import bundled_checksums


class BreastCancer(DataSet):
    """Benign tumours (normal, 357) and malignant ones (anomalous, 212).

    (N, 30): mean, standard error and worst (largest) value of ten measurements of cell
    nuclei. No download is needed.
    """

    def load(self, folder: Path) -> Raw:
        """Load all 569 samples; `folder` is not read."""
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
        label = bunch.target_names[bunch.target].astype(str)
        return Raw(
            x=bunch.data.astype(np.float64),
            label=label,
            anomaly=label == "malignant",
            id=np.array([f"breast_cancer/{i}" for i in range(len(label))]),
            source={
                "name": "breast_cancer",
                "licence": "Wolberg, Street and Mangasarian 1993, UCI Machine Learning "
                "Repository (CC BY 4.0)",
                "complete": True,
                "files": bundled_checksums("data/breast_cancer.csv"),
            },
            columns=tuple(Column(str(name)) for name in bunch.feature_names),
        )
