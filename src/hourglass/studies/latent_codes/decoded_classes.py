"""Analyses `interpolation` and `neighbourhood`: classes of images decoded between and near codes.

Both classify decoded images with a function `classify`: scaled images (N, C, H, W) -> class
indices (N,).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd

from hourglass.evaluation.figures.images import Row, grid
from hourglass.studies.latent_space import LatentSpace, evenly_spaced
from hourglass.studies.results import StudyResult

Classify: TypeAlias = Callable[[np.ndarray], np.ndarray]

STEPS = np.linspace(0, 1, 11).round(2)  # positions on the line between two codes
MAX_PAIRS = 300  # pairs of codes per kind in the table
MAX_DRAWN_PAIRS = 5  # pairs per kind in the figure

DEVIATIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)  # sizes of the noise
MAX_CENTRES = 500  # codes of test samples that noise is added to
MAX_DRAWN_CLASSES = 10
MIN_SAME_CLASS_SHARE = 0.9  # of decoded images, within the radius


def analyse_interpolation(space: LatentSpace, classify: Classify) -> StudyResult:
    """Decode points on lines between pairs of codes, within a class and between classes.

    Per kind of pair and position on the line (0 to 1), the table has the fraction of decoded
    samples that a classifier of real images assigns to the class of one of the two ends. The
    metrics are the fractions at the midpoint.
    """
    rng, test = np.random.default_rng(space.seed), space.codes.test
    tables, metrics, drawn = [], {}, []
    weights = STEPS.astype(np.float32)[:, None]
    for kind in ("within", "between"):
        pairs = _draw_pairs(test.y, kind == "within", rng)
        if not len(pairs):
            continue
        start, end = (test.x[indices, None] for indices in pairs.T)  # (pairs, 1, latent_dim)
        codes = (1 - weights) * start + weights * end
        decoded = space.decode(codes.reshape(-1, codes.shape[2]))
        classes = classify(decoded).reshape(len(pairs), 1, len(STEPS))
        shares = (classes == test.y[pairs][:, :, None]).any(1).mean(0)
        tables.append(pd.DataFrame({"pairs": kind, "step": STEPS, "share_of_an_end": shares}))
        metrics[f"interpolation_{kind}_classes"] = float(shares[len(STEPS) // 2])
        images = decoded.reshape(len(pairs), len(STEPS), *decoded.shape[1:])
        for pair, row in zip(pairs[:MAX_DRAWN_PAIRS], images, strict=False):
            drawn.append(Row(" to ".join(space.classes[i] for i in test.y[pair]), row))
    return StudyResult(
        metrics,
        {"interpolation": pd.concat(tables, ignore_index=True)},
        {"interpolation": grid(drawn, [f"{step:g}" for step in STEPS])},
    )


def _draw_pairs(y: np.ndarray, same: bool, rng: np.random.Generator) -> np.ndarray:
    """Return random index pairs, (n, 2), within a class if `same`, else between classes.

    The classes of the first indices alternate, so that the first pairs cover many classes.
    """
    labelled = np.flatnonzero(y >= 0)
    first = rng.permutation(labelled)
    occurrence = pd.Series(y[first]).groupby(y[first]).cumcount().to_numpy()
    pairs = []
    for index in first[np.argsort(occurrence, kind="stable")][:MAX_PAIRS]:
        partners = labelled[((y[labelled] == y[index]) == same) & (labelled != index)]
        if len(partners):
            pairs.append((index, rng.choice(partners)))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def analyse_neighbourhood(space: LatentSpace, classify: Classify) -> StudyResult:
    """Add Gaussian noise of increasing size to codes, and classify the decoded images.

    The noise is scaled per unit: size 1 is the unit's standard deviation over the training codes.
    The table has, per size, the share of decoded images with the same class as the test sample,
    according to a classifier of real images. The metric `neighbourhood_radius` is the size at which
    this share falls below 90 %, interpolated linearly. It is 0 if the share is lower without noise.
    """
    test, rng = space.codes.test, np.random.default_rng(space.seed)
    centres = evenly_spaced(len(test), MAX_CENTRES)
    codes, y, x = test.x[centres], test.y[centres], space.scaling(space.samples.test.x[centres])
    deviation = space.codes.train.x.std(0)
    directions = rng.standard_normal(codes.shape).astype(np.float32)
    decoded = [space.decode(codes + size * deviation * directions) for size in DEVIATIONS]
    classes = classify(x)
    shares = np.array([(classify(images) == classes).mean() for images in decoded])
    _, first = np.unique(y, return_index=True)
    rows = [
        Row(space.classes[y[i]], np.stack([x[i], *(images[i] for images in decoded)]))
        for i in first[y[first] >= 0][:MAX_DRAWN_CLASSES]
    ]
    titles = [f"{size:g} sd\n{share:.0%}" for size, share in zip(DEVIATIONS, shares, strict=True)]
    table = pd.DataFrame({"standard_deviations": DEVIATIONS, "share_of_same_class": shares})
    return StudyResult(
        {"neighbourhood_radius": radius(np.array(DEVIATIONS), shares)},
        {"neighbourhood": table},
        {"neighbourhood": grid(rows, ["input\n", *titles])},
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
