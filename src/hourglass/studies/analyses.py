"""The parts of a study, and which of them a data set has."""

from collections.abc import Callable
from functools import partial

import numpy as np

from hourglass.detection.inference import batched
from hourglass.studies.compression.analysis import compression
from hourglass.studies.generation.analysis import generated
from hourglass.studies.generation.synthetic_analysis import synthetic_rows
from hourglass.studies.latent_codes.class_radius import neighbourhood
from hourglass.studies.latent_codes.embedding import latent_map
from hourglass.studies.latent_codes.features import features
from hourglass.studies.latent_codes.interpolation import interpolation
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.references import References
from hourglass.studies.restoration.analysis import restoration_of
from hourglass.studies.results import StudyResult


def analyses_of(space: LatentSpace, references: References) -> dict[str, Callable[[], StudyResult]]:
    """Return what is to be done for a network, by name, in order.

    What needs classes is left out where the normal samples are of one; images are restored, and
    made up as pictures, tables as rows.
    """
    found: dict[str, Callable[[], StudyResult]] = {
        "map": partial(latent_map, space),
        "compression": partial(compression, space, references.rates),
    }
    if space.labelled:
        found["features"] = partial(features, space, references.of_input)
    if (classifier := references.classifier) is not None:

        def classify(x: np.ndarray) -> np.ndarray:
            return batched(classifier, classifier.classes, x)

        found["interpolation"] = partial(interpolation, space, classify)
        found["neighbourhood"] = partial(neighbourhood, space, classify)
    if references.restoration is None:
        found["generation"] = partial(synthetic_rows, space)
    else:
        found["generation"] = partial(generated, space, classifier)
        found["restoration"] = partial(restoration_of, space, references.restoration)
    return found
