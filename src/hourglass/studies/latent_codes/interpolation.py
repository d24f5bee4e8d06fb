"""Analysis `interpolation`: the classes of decodings on the line between two codes."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from hourglass.evaluation.figures import images as figure_images
from hourglass.studies.latent_space import LatentSpace
from hourglass.studies.results import StudyResult

STEPS = 11
MAX_PAIRS = 300  # per kind, measured
MAX_DRAWN_PAIRS = 5  # per kind

# From scaled samples, (N, *S), to class indices, (N,).
Classify = Callable[[np.ndarray], np.ndarray]


def analyse_interpolation(space: LatentSpace, classify: Classify) -> StudyResult:
    """Decode eleven steps between pairs of codes, within a class and between classes.

    The table has, per kind of pair and step (0 to 1), the share of decodings that a classifier of
    real images assigns to the class of one of the two ends. The metrics are the shares halfway.
    """
    rng, tables, drawn = np.random.default_rng(space.seed), [], []
    for kind in ("within", "between"):
        pairs = _pairs(space.codes.test.y, kind == "within", rng)
        if not len(pairs):
            continue
        decoded = _decode_lines(space, pairs)
        classes = classify(decoded.reshape(-1, *decoded.shape[2:])).reshape(decoded.shape[:2])
        ends = space.codes.test.y[pairs]
        share = ((classes == ends[:, :1]) | (classes == ends[:, 1:])).mean(0)
        steps = np.linspace(0, 1, STEPS).round(2)
        tables.append(pd.DataFrame({"pairs": kind, "step": steps, "share_of_an_end": share}))
        for pair, images in zip(pairs[:MAX_DRAWN_PAIRS], decoded, strict=False):
            names = [space.classes[index] for index in space.codes.test.y[pair]]
            drawn.append(figure_images.Row(" to ".join(names), images))
    table = pd.concat(tables, ignore_index=True)
    halfway = table[table.step == 0.5].set_index("pairs").share_of_an_end
    return StudyResult(
        {f"interpolation_{kind}_classes": float(share) for kind, share in halfway.items()},
        {"interpolation": table},
        {"interpolation": figure_images.grid(drawn, [f"{step:g}" for step in steps])},
    )


def _pairs(y: np.ndarray, same: bool, rng: np.random.Generator) -> np.ndarray:
    """Return index pairs, (n, 2), of one class or of two; the first pairs cover many classes."""
    labelled = np.flatnonzero(y >= 0)
    first = rng.permutation(labelled)
    occurrence = pd.Series(y[first]).groupby(y[first]).cumcount().to_numpy()
    first = first[np.argsort(occurrence, kind="stable")][:MAX_PAIRS]
    pairs = []
    for one in first:
        others = labelled[(y[labelled] == y[one]) == same]
        others = others[others != one]
        if len(others):
            pairs.append((one, rng.choice(others)))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _decode_lines(space: LatentSpace, pairs: np.ndarray) -> np.ndarray:
    """Return the decoded steps from one code of each pair to the other: (pairs, STEPS, *S)."""
    ends = space.codes.test.x[pairs]  # (pairs, 2, latent_dim)
    weights = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    codes = (1 - weights) * ends[:, :1] + weights * ends[:, 1:]
    decoded = space.decode(codes.reshape(-1, codes.shape[2]))
    return decoded.reshape(len(pairs), STEPS, *decoded.shape[1:])
