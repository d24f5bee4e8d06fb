"""The code as compression: bytes a sample and what they cost, beside PCA and image files."""

import pandas as pd

from hourglass.evaluation.figures.comparisons import rates
from hourglass.studies.compression.rate_distortion import of_network
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult


def compression(space: LatentSpace, others: pd.DataFrame) -> StudyResult:
    """Measure rate and distortion of the code, in fewer bits and in fewer components.

    `others` are the rates of what is no network; the table and the picture have both.
    """
    table = pd.concat([of_network(space.network, space.prepared), others], ignore_index=True)
    return StudyResult(tables={"rates": table}, figures={"rates": rates({"": table})})
