"""Build calibrators from settings, and calibrate each on the split that it needs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS
from hourglass.core.suggestions import counted
from hourglass.core.yaml_config import build, read
from hourglass.data.prepared_data import Prepared, Split
from hourglass.detection.calibrators import Calibrator, LabelledCalibrator
from hourglass.detection.folds import FoldScores, fold_count, needs_folds
from hourglass.detection.threshold import Threshold


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml describes."""
    return build(config, Calibrator, "params.yaml, calibration")


def check_calibration_samples(card: dict[str, Any], calibrator: Calibrator) -> str:
    """Return a note if a data set, described by its card, is so small that folds calibrate it.

    The note is "" if its calibration split is large enough. Raises a UserError if all samples for
    training and calibration together are too few.
    """
    sizes = [card["splits"][name]["normal"] for name in ("train", "validation", "calibration")]
    if not needs_folds(calibrator, sizes[-1]):
        return ""
    settings = ", ".join(
        f"{name} {value}" for name, value in vars(calibrator).items() if value is not None
    )
    too_few = (
        f"{card['data']} has {counted(sizes[-1], 'calibration sample')}, but `calibration` in "
        f"params.yaml, {calibrator.method} with {settings}, needs {calibrator.min_samples}"
    )
    if sum(sizes) < calibrator.min_samples:
        raise UserError(
            f"{too_few}, and train, validation and calibration together have {sum(sizes)}; add "
            "samples or change `calibration`."
        )
    return (
        f"{too_few}; calibrate-threshold therefore uses cross-conformal scores of {sum(sizes)} "
        f"samples from {fold_count(*sizes)} folds, whose false-alarm rate is alpha approximately, "
        "not as a bound."
    )


def comparison_calibrators() -> dict[str, Calibrator]:
    """Return the calibrators in configs/calibrators.yaml, by name."""
    path = CONFIGS / "calibrators.yaml"
    return {
        name: build(config, Calibrator, f"{path.as_posix()}, {name}")
        for name, config in read(path, None).items()
    }


def calibrate(
    calibrator: Calibrator,
    prepared: Prepared,
    scores: Callable[[Split], np.ndarray],
    folds: FoldScores | None = None,
) -> Threshold:
    """Return the threshold of a calibrator from the scores of the split that it needs.

    Labelled calibrators use the tuning split, all others the calibration split and the `folds`, if
    they are given. `scores` returns the scores of a split, (N,).
    """
    if isinstance(calibrator, LabelledCalibrator):
        return calibrator(scores("tuning"), prepared.split("tuning").anomaly)
    if folds is None:
        return calibrator(scores("calibration"))
    return folds.describe(calibrator(folds(scores("calibration"))))
