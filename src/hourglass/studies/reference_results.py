"""Reference results: baselines that need no trained autoencoder, compared with all variants.

Stage `references` measures them once per data set, and stage `study` of each cell loads them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hourglass.core.atomic import write_json
from hourglass.core.progress import step
from hourglass.data.prepared_data import Prepared
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.compression.analysis import COLUMNS


@dataclass(frozen=True)
class ReferenceResults:
    """Reference results of one data set."""

    input_quality: dict[str, float]  # `feature_quality` of the input; empty for a single class
    rates: pd.DataFrame  # size and error of PCA; for images, also of JPEG and PNG
    restoration: pd.DataFrame | None  # classical image restoration; None for tables
    classifier: RealClassifier | None  # of real images; None for tables and for a single class

    @classmethod
    def load(cls, folder: Path) -> "ReferenceResults":
        """Load the results that `measure_references` wrote."""
        metrics = json.loads((folder / "references.json").read_text(encoding="utf-8"))
        restoration, classifier = folder / "restoration.csv", folder / "classifier"
        return cls(
            metrics["of_input"],
            pd.read_csv(folder / "rates.csv", dtype=COLUMNS),
            pd.read_csv(restoration) if restoration.exists() else None,
            RealClassifier.load(classifier) if classifier.exists() else None,
        )


def measure_references(prepared: Prepared, seed: int, folder: Path) -> None:
    """Measure all reference results and write them to an empty folder."""
    # Imported here, so that these modules are not part of the code digest of `study`.
    from hourglass.studies.classification.labelled_splits import class_names, read_labelled_splits
    from hourglass.studies.classification.reference_classifier import train_classifier
    from hourglass.studies.compression.analysis import reference_rates
    from hourglass.studies.latent_codes.features import feature_quality
    from hourglass.studies.latent_space import flatten_splits
    from hourglass.studies.restoration.analysis import classical_table

    is_image, labelled = not prepared.card["feature_names"], len(class_names(prepared)) > 1
    metrics: dict[str, object] = {"of_input": {}}
    with step("references: codecs"):
        reference_rates(prepared).to_csv(folder / "rates.csv", index=False)
    if labelled:
        with step("references: classifiers on the input"):
            splits = flatten_splits(read_labelled_splits(prepared, seed), prepared.scaling)
            metrics["of_input"] = feature_quality(splits)
    if is_image:
        with step("references: classical restoration"):
            classical_table(prepared, seed).to_csv(folder / "restoration.csv", index=False)
    if is_image and labelled:
        with step("references: train the classifier"):
            classifier, accuracy = train_classifier(prepared, seed)
        classifier.write(folder / "classifier")
        metrics["classifier_accuracy"] = accuracy
    write_json(folder / "references.json", metrics)
