"""The parts of a study, and which of them a data set has."""

from collections.abc import Callable
from functools import partial

import numpy as np

from hourglass.detection.passing import batched
from hourglass.latent.compressed import compression
from hourglass.latent.embedding import latent_map
from hourglass.latent.features import features
from hourglass.latent.findings import Findings
from hourglass.latent.generated import generated
from hourglass.latent.interpolation import interpolation
from hourglass.latent.neighbourhood import neighbourhood
from hourglass.latent.references import References
from hourglass.latent.restored import restoration_of
from hourglass.latent.space import Space
from hourglass.latent.synthetic import synthetic_rows


def parts_of(space: Space, references: References) -> dict[str, Callable[[], Findings]]:
    """Return what is to be done for a network, by name, in order.

    What needs classes is left out where the normal samples are of one; images are restored, and
    made up as pictures, tables as rows.
    """
    found: dict[str, Callable[[], Findings]] = {
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
