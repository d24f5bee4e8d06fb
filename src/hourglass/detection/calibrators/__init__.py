"""Calibrators: scores in, Threshold out. The ones to name in params.yaml are here."""

from hourglass.detection.calibrators.base import Calibrator, LabelledCalibrator
from hourglass.detection.calibrators.conformal import Conformal
from hourglass.detection.calibrators.evt import EVT
from hourglass.detection.calibrators.labelled import Cost, MaxF1, PrecisionAt, RecallAt
from hourglass.detection.calibrators.rules import MAD, KSigma, Manual, Quantile

__all__ = [
    "EVT",
    "MAD",
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
