"""Between two codes: what lies on the straight line that joins them."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from hourglass.evaluation.figures.images import Row, grid
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult

STEPS = 11
PAIRS = 300  # of either kind that are measured
SHOWN = 5  # of either kind that are drawn

# From scaled samples, (N, *S), to the numbers of their classes, (N,).
Classify = Callable[[np.ndarray], np.ndarray]


def interpolation(space: LatentSpace, classify: Classify) -> StudyResult:
    """Decode eleven steps between pairs of codes, within a class and between classes.

    The table has, for either kind of pair and each step (0 to 1), the share of decodings that a
    classifier of real images gives the class of one of the two ends: how much of the way looks like
    something that there is. The metrics are that share halfway.
    """
    rng, rows, shown = np.random.default_rng(space.seed), [], []
    for kind in ("within", "between"):
        pairs = _pairs(space.codes.test.y, kind == "within", rng)
        if not len(pairs):
            continue
        decoded = _decoded(space, pairs)
        found = classify(decoded.reshape(-1, *decoded.shape[2:])).reshape(decoded.shape[:2])
        ends = space.codes.test.y[pairs]
        share = ((found == ends[:, :1]) | (found == ends[:, 1:])).mean(0)
        steps = np.linspace(0, 1, STEPS).round(2)
        rows.append(pd.DataFrame({"pairs": kind, "step": steps, "share_of_an_end": share}))
        for pair, images in zip(pairs[:SHOWN], decoded, strict=False):
            names = [space.classes[each] for each in space.codes.test.y[pair]]
            shown.append(Row(" to ".join(names), images))
    table = pd.concat(rows, ignore_index=True)
    halfway = table[table.step == 0.5].set_index("pairs").share_of_an_end
    return StudyResult(
        {f"interpolation_{kind}_classes": float(share) for kind, share in halfway.items()},
        {"interpolation": table},
        {"interpolation": grid(shown, [f"{step:g}" for step in steps])},
    )


def _pairs(y: np.ndarray, same: bool, rng: np.random.Generator) -> np.ndarray:
    """Return pairs of places, (PAIRS, 2), of one class or of two; the first are of many classes."""
    known = np.flatnonzero(y >= 0)
    first = rng.permutation(known)
    first = first[np.argsort(_occurrence(y[first]), kind="stable")][:PAIRS]
    found = []
    for one in first:
        others = known[(y[known] == y[one]) == same]
        others = others[others != one]
        if len(others):
            found.append((one, rng.choice(others)))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _occurrence(y: np.ndarray) -> np.ndarray:
    """Return how many of the same class stand before each: (N,)."""
    return pd.Series(y).groupby(y).cumcount().to_numpy()


def _decoded(space: LatentSpace, pairs: np.ndarray) -> np.ndarray:
    """Return what lies between: (pairs, STEPS, *S)."""
    ends = space.codes.test.x[pairs]  # (pairs, 2, latent_dim)
    weights = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    between = (1 - weights) * ends[:, :1] + weights * ends[:, 1:]
    decoded = space.decode(between.reshape(-1, between.shape[2]))
    return decoded.reshape(len(pairs), STEPS, *decoded.shape[1:])
