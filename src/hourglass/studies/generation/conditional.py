"""Samples of one class: a mixture for each, and whether a classifier agrees."""

import numpy as np
import pandas as pd

from hourglass.studies.classification.reference_classifier import RealClassifier, classes
from hourglass.studies.generation.samplers import Mixture, some

FITTED = 2_500  # codes of a class


def codes_of_classes(
    codes: np.ndarray, label: np.ndarray, count: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return `count` codes of each class: (n, latent_dim), (n,) -> (count, latent_dim) each.

    They are drawn from a mixture that is fitted to the class's own codes, FITTED at most. A class
    of one code, which shows no spread, is left out.
    """
    return {
        str(name): Mixture.fit(some(codes[label == name], FITTED), seed).sample(count, seed + place)
        for place, (name, known) in enumerate(
            zip(*np.unique(label, return_counts=True), strict=True)
        )
        if known > 1
    }


def class_agreement(samples: dict[str, np.ndarray], classifier: RealClassifier) -> pd.DataFrame:
    """Return for each class the share of its samples (N, C, H, W) that a classifier gives it.

    The last row, `all`, has the share of all samples.
    """
    hits = {name: classes(classifier, each) == name for name, each in samples.items()}
    rows = [*hits.items(), ("all", np.concatenate([*hits.values()]))]
    return pd.DataFrame(
        [(name, len(each), float(each.mean())) for name, each in rows],
        columns=["class", "samples", "class_agreement"],
    )
