"""What the codes of a data set are compared with; no network of its cells is needed for it."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hourglass.classification.features import flat
from hourglass.classification.labelled import names, read
from hourglass.classification.real import RealClassifier, train_classifier
from hourglass.compression import rates
from hourglass.data.packed import Prepared
from hourglass.files import write_json
from hourglass.latent.features import quality
from hourglass.restoration.tables import classical_table


@dataclass(frozen=True)
class References:
    """Hold the quality of the input as a feature, other codes, other filters, and a classifier."""

    of_input: dict[str, float]
    rates: pd.DataFrame
    restoration: pd.DataFrame | None  # of images
    classifier: RealClassifier | None  # of images of two or more classes

    @classmethod
    def load(cls, folder: Path) -> "References":
        """Return what `write` left in a folder."""
        found = json.loads((folder / "references.json").read_text(encoding="utf-8"))
        restoration, classifier = folder / "restoration.csv", folder / "classifier"
        return cls(
            found["of_input"],
            pd.read_csv(folder / "rates.csv"),
            pd.read_csv(restoration) if restoration.exists() else None,
            RealClassifier.load(classifier) if classifier.exists() else None,
        )


def write(prepared: Prepared, seed: int, folder: Path) -> None:
    """Measure everything and write it to an empty folder."""
    images, labelled = not prepared.card["feature_names"], len(names(prepared)) > 1
    found: dict[str, object] = {"studied": True, "of_input": {}}
    rates.references(prepared).to_csv(folder / "rates.csv", index=False)
    if labelled:
        found["of_input"] = quality(flat(None, prepared.scaling, read(prepared, seed)))
    if images:
        classical_table(prepared, seed).to_csv(folder / "restoration.csv", index=False)
    if images and labelled:
        classifier, accuracy = train_classifier(prepared, seed)
        classifier.write(folder / "classifier")
        found["classifier_accuracy"] = accuracy
    write_json(folder / "references.json", found)
