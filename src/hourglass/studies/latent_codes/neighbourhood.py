"""Analysis `neighbourhood`: the size of noise on a code that changes the decoded class."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hourglass.evaluation.figures import images as figure_images
from hourglass.studies.latent_codes.interpolation import Classify
from hourglass.studies.latent_space import LatentSpace, evenly_spaced
from hourglass.studies.results import StudyResult

DEVIATIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)  # sizes of the noise
MAX_CENTRES = 500  # codes of test samples that noise is added to
MAX_DRAWN_CLASSES = 10
MIN_SAME_CLASS_SHARE = 0.9  # of decoded images, within the radius


def analyse_neighbourhood(space: LatentSpace, classify: Classify) -> StudyResult:
    """Add Gaussian noise of increasing size to codes, and classify the decoded images.

    The noise is scaled per unit: size 1 is the unit's standard deviation over the training codes.
    The table has, per size, the share of decoded images with the same class as the test sample,
    according to a classifier of real images. The metric `neighbourhood_radius` is the size at which
    this share falls below 90 %, interpolated linearly. It is 0 if the share is lower without noise.
    """
    test, rng = space.codes.test, np.random.default_rng(space.seed)
    centres = evenly_spaced(len(test), MAX_CENTRES)
    x = space.scaling(np.asarray(space.samples.test.x[centres]))
    classes, deviation = classify(x), space.codes.train.x.std(0)
    directions = rng.standard_normal((len(centres), space.size)).astype(np.float32)
    decoded = [space.decode(test.x[centres] + size * deviation * directions) for size in DEVIATIONS]
    shares = np.array([(classify(images) == classes).mean() for images in decoded])
    table = pd.DataFrame({"standard_deviations": DEVIATIONS, "share_of_same_class": shares})
    return StudyResult(
        {"neighbourhood_radius": radius(np.array(DEVIATIONS), shares)},
        {"neighbourhood": table},
        {"neighbourhood": _draw(space, test.y[centres], x, decoded, shares)},
    )


def radius(sizes: np.ndarray, shares: np.ndarray) -> float:
    """Return the size at which the share falls below 90 %; the largest size if it never does."""
    below = np.flatnonzero(shares < MIN_SAME_CLASS_SHARE)
    if not len(below):
        return float(sizes[-1])
    first = below[0]
    if first == 0:
        return 0.0
    ends = shares[first], shares[first - 1]  # np.interp needs increasing values
    return float(np.interp(MIN_SAME_CLASS_SHARE, ends, (sizes[first], sizes[first - 1])))


def _draw(
    space: LatentSpace, y: np.ndarray, x: np.ndarray, decoded: list[np.ndarray], shares: np.ndarray
) -> Figure:
    """Draw the first sample of each class and the images decoded from its code plus noise."""
    _, first = np.unique(y, return_index=True)
    rows = [
        figure_images.Row(space.classes[y[i]], np.stack([x[i], *(images[i] for images in decoded)]))
        for i in first[y[first] >= 0][:MAX_DRAWN_CLASSES]
    ]
    titles = [f"{size:g} sd\n{share:.0%}" for size, share in zip(DEVIATIONS, shares, strict=True)]
    return figure_images.grid(rows, ["input\n", *titles])
