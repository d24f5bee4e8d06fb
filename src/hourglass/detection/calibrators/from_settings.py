"""The calibrators that the settings ask for, and the split that each of them takes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hourglass.core.paths import CONFIGS
from hourglass.core.yaml_config import build, read
from hourglass.data.prepared import Prepared, Split
from hourglass.detection.calibrators import Calibrator, LabelledCalibrator
from hourglass.detection.threshold import Threshold


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml asks for."""
    return build(config, Calibrator, "params.yaml, calibration")


def compared() -> dict[str, Calibrator]:
    """Return the calibrators that configs/calibrators.yaml names."""
    path = CONFIGS / "calibrators.yaml"
    return {
        name: build(config, Calibrator, f"{path.as_posix()}, {name}")
        for name, config in read(path, None).items()
    }


def calibration_of(
    prepared: Prepared, scores: Callable[[Split], np.ndarray]
) -> Callable[[Calibrator], Threshold]:
    """Return a function that calibrates on the split that a calibrator is for.

    `scores` gives those of a split, (N,).
    """

    def calibrated(calibrator: Calibrator) -> Threshold:
        if isinstance(calibrator, LabelledCalibrator):
            return calibrator(scores("tuning"), prepared.split("tuning").anomaly)
        return calibrator(scores("calibration"))

    return calibrated
