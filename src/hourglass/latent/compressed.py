"""The code as compression: bytes a sample and what they cost, beside PCA and image files."""

import pandas as pd

from hourglass.compression.rates import of_network
from hourglass.figures.rates import rates
from hourglass.latent.findings import Findings
from hourglass.latent.space import Space


def compression(space: Space, others: pd.DataFrame) -> Findings:
    """Measure rate and distortion of the code, in fewer bits and in fewer components.

    `others` are the rates of what is no network; the table and the picture have both.
    """
    table = pd.concat([of_network(space.network, space.prepared), others], ignore_index=True)
    return Findings(tables={"rates": table}, figures={"rates": rates({"": table})})
