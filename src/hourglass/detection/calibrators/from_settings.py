"""Build calibrators from settings, and calibrate each on the split that it needs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS
from hourglass.core.yaml_config import build, read
from hourglass.data.prepared_data import Prepared, Split
from hourglass.detection.calibrators import Calibrator, LabelledCalibrator
from hourglass.detection.threshold import Threshold


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml describes."""
    return build(config, Calibrator, "params.yaml, calibration")


def require_calibration_samples(card: dict[str, Any], calibrator: Calibrator) -> None:
    """Raise a UserError if a data set, described by its card, is too small for a calibrator."""
    if isinstance(calibrator, LabelledCalibrator):
        return
    count, needed = card["splits"]["calibration"]["normal"], calibrator.min_samples
    if count < needed:
        settings = ", ".join(f"{name} {value}" for name, value in vars(calibrator).items())
        raise UserError(
            f"{card['data']} has {count} calibration samples, but `calibration` in params.yaml, "
            f"{calibrator.method} with {settings}, needs {needed}; add samples, raise the share "
            f"`calibration` of `fractions` in configs/data/{card['data']}.yaml, or change "
            "`calibration`."
        )


def comparison_calibrators() -> dict[str, Calibrator]:
    """Return the calibrators in configs/calibrators.yaml, by name."""
    path = CONFIGS / "calibrators.yaml"
    return {
        name: build(config, Calibrator, f"{path.as_posix()}, {name}")
        for name, config in read(path, None).items()
    }


def calibrate(
    calibrator: Calibrator, prepared: Prepared, scores: Callable[[Split], np.ndarray]
) -> Threshold:
    """Return the threshold of a calibrator from the scores of the split that it needs.

    Labelled calibrators use the tuning split, all others the calibration split. `scores` returns
    the scores of a split, (N,).
    """
    if isinstance(calibrator, LabelledCalibrator):
        return calibrator(scores("tuning"), prepared.split("tuning").anomaly)
    return calibrator(scores("calibration"))
