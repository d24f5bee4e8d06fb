"""Calibrators: scores in, Threshold out. The ones to name in params.yaml are here."""

from hourglass.calibration.base import Calibrator, LabelledCalibrator
from hourglass.calibration.conformal import Conformal
from hourglass.calibration.labelled import Cost, MaxF1, PrecisionAt, RecallAt
from hourglass.calibration.normal import MAD, KSigma, Manual, Quantile
from hourglass.calibration.tail import EVT

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
