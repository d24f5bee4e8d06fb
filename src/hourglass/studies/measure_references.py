"""Measure what the codes of a data set are compared with; no network of its cells is needed."""

from pathlib import Path

from hourglass.core.atomic import write_json
from hourglass.data.prepared import Prepared
from hourglass.studies.classification.features import flat
from hourglass.studies.classification.labelled_subsets import names, read
from hourglass.studies.classification.reference_classifier import train_classifier
from hourglass.studies.compression.rate_distortion import references
from hourglass.studies.latent_codes.features import quality
from hourglass.studies.restoration.tables import classical_table


def measure(prepared: Prepared, seed: int, folder: Path) -> None:
    """Measure everything and write it to an empty folder, for `References` to load."""
    images, labelled = not prepared.card["feature_names"], len(names(prepared)) > 1
    found: dict[str, object] = {"of_input": {}}
    references(prepared).to_csv(folder / "rates.csv", index=False)
    if labelled:
        found["of_input"] = quality(flat(None, prepared.scaling, read(prepared, seed)))
    if images:
        classical_table(prepared, seed).to_csv(folder / "restoration.csv", index=False)
    if images and labelled:
        classifier, accuracy = train_classifier(prepared, seed)
        classifier.write(folder / "classifier")
        found["classifier_accuracy"] = accuracy
    write_json(folder / "references.json", found)
