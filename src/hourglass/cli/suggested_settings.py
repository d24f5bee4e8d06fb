"""Settings that suit a user's data set by its kind and size, for its file in configs/data."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.training.cell_settings import TrainingPlan
from hourglass.training.suggested_sizes import suggested_settings

MIN_TRAIN_SHARE = 0.3  # of the normal samples
MIN_FOLDED = 20  # normal samples for a calibration by folds; a fold then has three
FOLDED_SHARE = 0.75  # of the normal samples: train, validation and calibration, which folds divide
MAX_KEPT_SIDE = 128  # pixels; larger images are resized
RESIZED_SIDE = 64


def new_settings(train: int, sample_shape: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Return the sections `model` and `training` for `train` samples of a shape."""
    model, plan = suggested_settings(sample_shape, train)
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
        if 0.15 * normal >= needed:
            return alpha, None
        share = math.ceil(100 * needed / normal) / 100
        train = round(1 - share - 0.3, 2)
        if train >= MIN_TRAIN_SHARE:
            others = {"validation": 0.1, "calibration": share, "tuning": 0.1, "test": 0.1}
            return alpha, {"train": train, **others}
        if normal >= MIN_FOLDED and int(FOLDED_SHARE * normal) >= needed:
            return alpha, None
    smallest = max(MIN_FOLDED, math.ceil(needed / FOLDED_SHARE))
    # A single rate is a setting of the workspace.
    change = ", or raise `alpha` of `calibration` in params.yaml" if len(alphas) == 1 else ""
    raise UserError(
        f"there {'is' if normal == 1 else 'are'} {counted(normal, 'normal sample')}, but a "
        f"threshold for a false-alarm rate of {alpha} needs {smallest}; add some{change}."
    )


def resized_side(sizes: set[tuple[int, int]]) -> int | None:
    """Return the side in pixels to resize images to, None to keep them as they are.

    `sizes` are the widths and heights of all images.
    """
    same = len(sizes) == 1
    return None if same and max(next(iter(sizes))) <= MAX_KEPT_SIDE else RESIZED_SIDE
