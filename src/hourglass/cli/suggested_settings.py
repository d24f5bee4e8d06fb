"""Settings that suit a user's data set by its kind and size, for its file in configs/data."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.training.cell_settings import TrainingPlan
from hourglass.training.suggested_sizes import suggested_settings

MIN_TRAIN_SHARE = 0.3  # of the normal samples
MIN_FOLDED = 20  # normal samples for a calibration by folds; a fold then has three
CALIBRATION_SHARE = 0.15  # the default of Fractions
MAX_CALIBRATION_SHARE = 0.35  # of the rows of a series
# Blocks that a calibration split loses per entity, to the gap in front and to the rest at its end.
LOST_BLOCKS = 2
DEFAULT_BLOCKS = 32  # of a series whose threshold is not conformal
FOLDED_SHARE = 0.75  # of the normal samples: train, validation and calibration, which folds divide
MAX_KEPT_SIDE = 128  # pixels; larger images are resized
RESIZED_SIDE, FEATURE_SIDE = 64, 256  # of pixels to reconstruct, and for the features of a backbone
SIDE_STEP = 8  # of suggested sides, which strided convolutions divide


def new_settings(
    train: int, sample_shape: tuple[int, ...], variant: str = ""
) -> dict[str, dict[str, Any]]:
    """Return the sections `model` and `training` of `variant` for `train` samples of a shape."""
    model, plan = suggested_settings(sample_shape, train, variant)
    return {"model": model, "training": asdict(TrainingPlan(**plan).training(train))}


def split_fractions(
    normal: int, alphas: Sequence[float]
) -> tuple[float | None, dict[str, float] | None]:
    """Return the first of `alphas` that is possible, and fractions of the splits for it.

    `normal` is the number of normal samples, and `alphas` are false-alarm rates of a conformal
    threshold, by preference; () for other thresholds, which gives None. The fractions are None if
    the defaults give enough calibration samples, or enough samples for a calibration by folds.
    Raises a UserError for too few samples.
    """
    from hourglass.detection.calibrators import Conformal

    if not alphas:
        return None, None
    for alpha in alphas:
        needed = Conformal(alpha).min_samples + 1  # one more, since the split rounds
        if CALIBRATION_SHARE * normal >= needed:
            return alpha, None
        share = math.ceil(100 * needed / normal) / 100
        fractions = _with_calibration(share)
        if fractions["train"] >= MIN_TRAIN_SHARE:
            return alpha, fractions
        if normal >= MIN_FOLDED and int(FOLDED_SHARE * normal) >= needed:
            return alpha, None
    smallest = max(MIN_FOLDED, math.ceil(needed / FOLDED_SHARE))
    # A single rate is a setting of the workspace.
    change = ", or raise `alpha` of `calibration` in params.yaml" if len(alphas) == 1 else ""
    raise UserError(
        f"there {'is' if normal == 1 else 'are'} {counted(normal, 'normal sample')}, but a "
        f"threshold for a false-alarm rate of {alpha} needs {smallest}; add some{change}."
    )


def blocks_needed(alphas: Sequence[float], entities: int) -> int:
    """Return the number of blocks of a series that a threshold for the first of `alphas` needs.

    A block is as long as a window. Blocks count instead of rows, whose scores are dependent.
    """
    if not alphas:
        return DEFAULT_BLOCKS
    return math.ceil(round(_calibration_blocks(alphas[0], entities) / MAX_CALIBRATION_SHARE, 9))


def series_fractions(
    blocks: float, entities: int, alphas: Sequence[float]
) -> tuple[float | None, dict[str, float] | None]:
    """Return the first of `alphas` that is possible, and fractions of the splits for it.

    `blocks` is the number of windows that do not overlap among the normal rows. Alphas are as for
    `split_fractions`; the last one has to be possible. A calibration by folds would train several
    networks, so a larger calibration split is preferred.
    """
    for alpha in alphas:
        needed = _calibration_blocks(alpha, entities)
        share = math.ceil(round(100 * needed / blocks, 9)) / 100
        if share <= CALIBRATION_SHARE:
            return alpha, None
        if share <= MAX_CALIBRATION_SHARE or alpha == alphas[-1]:
            return alpha, _with_calibration(share)
    return None, None


def _calibration_blocks(alpha: float, entities: int) -> int:
    from hourglass.detection.calibrators import Conformal

    return Conformal(alpha).min_samples + LOST_BLOCKS * entities


def _with_calibration(share: float) -> dict[str, float]:
    """Return fractions with this share of calibration samples."""
    others = {"validation": 0.1, "calibration": share, "tuning": 0.1, "test": 0.1}
    return {"train": round(1 - share - 0.3, 2), **others}


def suggested_size(sizes: np.ndarray, for_features: bool = False) -> int | list[int] | None:
    """Return the setting `size` of images, None to keep them as they are.

    `sizes` are the heights and widths of all images, (N, 2). The suggested size has the aspect
    ratio of the median one, and at most about the area of a square of RESIZED_SIDE, or of
    FEATURE_SIDE for a feature autoencoder, whose backbone was trained on such images.
    """
    side, kept = (FEATURE_SIDE,) * 2 if for_features else (RESIZED_SIDE, MAX_KEPT_SIDE)
    if len(np.unique(sizes, axis=0)) == 1 and sizes.max() <= kept:
        return None
    height, width = np.median(sizes, axis=0)
    factor = min(1, side / math.sqrt(height * width))
    steps = [math.ceil(round(side * factor / SIDE_STEP, 6)) for side in (height, width)]
    sides = [SIDE_STEP * count for count in steps]
    return sides[0] if sides[0] == sides[1] else sides
