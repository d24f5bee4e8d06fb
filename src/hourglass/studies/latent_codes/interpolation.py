"""Analysis `interpolation`: classes of samples decoded from the line between two latent codes."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from hourglass.evaluation.figures import images as figure_images
from hourglass.studies.latent_space import LatentSpace
from hourglass.studies.results import StudyResult

STEPS = 11  # points per line, ends included
MAX_PAIRS = 300  # pairs per kind in the table
MAX_DRAWN_PAIRS = 5  # pairs per kind in the figure

# A function: scaled samples, (N, *S) -> class indices, (N,).
Classify = Callable[[np.ndarray], np.ndarray]


def analyse_interpolation(space: LatentSpace, classify: Classify) -> StudyResult:
    """Decode STEPS points between pairs of codes, within a class and between classes.

    Per kind of pair and position on the line (0 to 1), the table has the fraction of decoded
    samples that a classifier of real images assigns to the class of one of the two ends. The
    metrics are the fractions at the midpoint.
    """
    rng, tables, drawn = np.random.default_rng(space.seed), [], []
    for kind in ("within", "between"):
        pairs = _pairs(space.codes.test.y, kind == "within", rng)
        if not len(pairs):
            continue
        decoded = _decode_lines(space, pairs)
        classes = classify(decoded.reshape(-1, *decoded.shape[2:])).reshape(decoded.shape[:2])
        end_classes = space.codes.test.y[pairs]
        is_end = (classes == end_classes[:, :1]) | (classes == end_classes[:, 1:])
        steps = np.linspace(0, 1, STEPS).round(2)
        tables.append(
            pd.DataFrame({"pairs": kind, "step": steps, "share_of_an_end": is_end.mean(0)})
        )
        for pair, images in zip(pairs[:MAX_DRAWN_PAIRS], decoded, strict=False):
            names = [space.classes[index] for index in space.codes.test.y[pair]]
            drawn.append(figure_images.Row(" to ".join(names), images))
    table = pd.concat(tables, ignore_index=True)
    midpoints = table[table.step == 0.5].set_index("pairs").share_of_an_end
    return StudyResult(
        {f"interpolation_{kind}_classes": float(share) for kind, share in midpoints.items()},
        {"interpolation": table},
        {"interpolation": figure_images.grid(drawn, [f"{step:g}" for step in steps])},
    )


def _pairs(y: np.ndarray, same: bool, rng: np.random.Generator) -> np.ndarray:
    """Return random index pairs, (n, 2), within a class if `same`, else between classes.

    The classes of the first indices alternate, so that the first pairs cover many classes.
    """
    labelled = np.flatnonzero(y >= 0)
    first = rng.permutation(labelled)
    occurrence = pd.Series(y[first]).groupby(y[first]).cumcount().to_numpy()
    first = first[np.argsort(occurrence, kind="stable")][:MAX_PAIRS]
    pairs = []
    for index in first:
        partners = labelled[(y[labelled] == y[index]) == same]
        partners = partners[partners != index]
        if len(partners):
            pairs.append((index, rng.choice(partners)))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _decode_lines(space: LatentSpace, pairs: np.ndarray) -> np.ndarray:
    """Decode equidistant points between the codes of each pair: (pairs, STEPS, *S)."""
    ends = space.codes.test.x[pairs]  # (pairs, 2, latent_dim)
    weights = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    codes = (1 - weights) * ends[:, :1] + weights * ends[:, 1:]
    decoded = space.decode(codes.reshape(-1, codes.shape[2]))
    return decoded.reshape(len(pairs), STEPS, *decoded.shape[1:])
