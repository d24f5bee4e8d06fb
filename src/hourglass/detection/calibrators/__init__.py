"""Calibrators choose a Threshold from scores; `calibration` in params.yaml names one."""

from hourglass.detection.calibrators.alarms_per_day import AlarmsPerDay
from hourglass.detection.calibrators.base import Calibrator
from hourglass.detection.calibrators.conformal import Conformal
from hourglass.detection.calibrators.evt import EVT
from hourglass.detection.calibrators.labelled import (
    Cost,
    LabelledCalibrator,
    MaxF1,
    PrecisionAt,
    RecallAt,
)
from hourglass.detection.calibrators.rules import MAD, KSigma, Manual, Quantile

__all__ = [
    "EVT",
    "MAD",
    "AlarmsPerDay",
    "Calibrator",
    "Conformal",
    "Cost",
    "KSigma",
    "LabelledCalibrator",
    "Manual",
    "MaxF1",
    "PrecisionAt",
    "Quantile",
    "RecallAt",
]
