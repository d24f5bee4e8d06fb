"""What the codes of a data set are compared with, as `measure` left it in a folder."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.compression.rate_distortion import COLUMNS


@dataclass(frozen=True)
class References:
    """Hold the quality of the input as a feature, other codes, other filters, and a classifier."""

    of_input: dict[str, float]
    rates: pd.DataFrame
    restoration: pd.DataFrame | None  # of images
    classifier: RealClassifier | None  # of images of two or more classes

    @classmethod
    def load(cls, folder: Path) -> "References":
        """Return the references in a folder."""
        found = json.loads((folder / "references.json").read_text(encoding="utf-8"))
        restoration, classifier = folder / "restoration.csv", folder / "classifier"
        return cls(
            found["of_input"],
            pd.read_csv(folder / "rates.csv", dtype=COLUMNS),
            pd.read_csv(restoration) if restoration.exists() else None,
            RealClassifier.load(classifier) if classifier.exists() else None,
        )
