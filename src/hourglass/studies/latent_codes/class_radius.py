"""Around a code: how far one may go until what it stands for is another class."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hourglass.evaluation.figures.images import Row, grid
from hourglass.studies.latent_codes.embedding import evenly
from hourglass.studies.latent_codes.interpolation import Classify
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult

DEVIATIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)
CENTRES = 500  # codes of test samples that are gone around
KEPT = 0.9  # share of decodings that must keep their class


def neighbourhood(space: LatentSpace, classify: Classify) -> StudyResult:
    """Decode normal steps of growing size from codes of test samples, and classify what comes.

    The size is in standard deviations, unit by unit, of the training codes. The table has for each
    size the share of decodings that a classifier of real images gives the same class as the sample
    itself; `neighbourhood_radius` is the size up to which that is 90 %, interpolated linearly, 0
    where even the reconstruction loses its class more often.
    """
    test, rng = space.codes.test, np.random.default_rng(space.seed)
    chosen = evenly(len(test), CENTRES)
    x = space.scaling(np.asarray(space.samples.test.x[chosen]))
    own, deviation = classify(x), space.codes.train.x.std(0)
    directions = rng.standard_normal((len(chosen), space.network.latent_dim)).astype(np.float32)
    decoded = [space.decode(test.x[chosen] + size * deviation * directions) for size in DEVIATIONS]
    kept = np.array([(classify(each) == own).mean() for each in decoded])
    table = pd.DataFrame({"standard_deviations": DEVIATIONS, "share_of_same_class": kept})
    return StudyResult(
        {"neighbourhood_radius": radius(np.array(DEVIATIONS), kept)},
        {"neighbourhood": table},
        {"neighbourhood": _drawn(space, test.y[chosen], x, decoded, kept)},
    )


def radius(sizes: np.ndarray, kept: np.ndarray) -> float:
    """Return the size at which the share falls below 90 %; the largest where it never does."""
    below = np.flatnonzero(kept < KEPT)
    if not len(below):
        return float(sizes[-1])
    first = below[0]
    if first == 0:
        return 0.0
    ends = kept[first], kept[first - 1]  # np.interp wants them rising
    return float(np.interp(KEPT, ends, (sizes[first], sizes[first - 1])))


def _drawn(
    space: LatentSpace, y: np.ndarray, x: np.ndarray, decoded: list[np.ndarray], kept: np.ndarray
) -> Figure:
    """Draw the first sample of each class, and what it becomes."""
    _, first = np.unique(y, return_index=True)
    rows = [
        Row(space.classes[y[i]], np.stack([x[i], *(each[i] for each in decoded)]))
        for i in first[y[first] >= 0][:10]
    ]
    titles = [f"{size:g} sd\n{share:.0%}" for size, share in zip(DEVIATIONS, kept, strict=True)]
    return grid(rows, ["input\n", *titles])
