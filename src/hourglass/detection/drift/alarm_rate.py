"""Test whether the alarm rate on new samples agrees with the rate expected at calibration."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import binomtest

from hourglass.detection.threshold import Threshold

Verdict: TypeAlias = Literal["holds", "more", "fewer", "too few"]

UNINFORMATIVE_FACTOR = 2.0  # an interval from half to twice the expected rate decides nothing


@dataclass(frozen=True)
class Rate:
    """A fraction of alarms with its Clopper-Pearson interval."""

    alarms: int
    samples: int
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, alarm: np.ndarray, confidence: float) -> "Rate":
        """Return the rate of alarms, (N,) bool; the interval has at least this confidence."""
        count, total = int(alarm.sum()), len(alarm)
        interval = binomtest(count, total).proportion_ci(confidence, method="exact")
        return cls(count, total, count / total, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class AlarmRateCheck:
    """The expected alarm rate, those on calibration and new samples, and the verdict."""

    promised: float  # by the calibration method, or the fraction of calibration scores above
    calibrated: Rate
    realised: Rate
    verdict: Verdict

    @classmethod
    def of(
        cls, threshold: Threshold, calibration: np.ndarray, scores: np.ndarray, alpha: float
    ) -> "AlarmRateCheck":
        """Compare the alarm rates of calibration scores, (n,), and new scores, (m,).

        Both intervals have confidence 1 - alpha / 2. If they do not overlap, the threshold does
        not hold: with one common rate, that happens with probability at most alpha. For a
        conformal threshold, the upper end of the calibration interval is a quantile of the Beta
        distribution of the deployed detector's false-alarm rate (Vovk 2012, proposition 2a).
        """
        confidence = 1 - alpha / 2
        calibrated = Rate.of(threshold(calibration), confidence)
        realised = Rate.of(threshold(scores), confidence)
        expected = threshold.false_alarm_rate
        promised = calibrated.rate if expected is None else expected
        return cls(promised, calibrated, realised, _verdict(promised, calibrated, realised))


def _verdict(promised: float, calibrated: Rate, realised: Rate) -> Verdict:
    """Compare the realised interval with the calibration interval extended to the promise."""
    low, high = min(calibrated.low, promised), max(calibrated.high, promised)
    if realised.low > high:
        return "more"
    if realised.high < low:
        return "fewer"
    factor = UNINFORMATIVE_FACTOR
    wide = realised.low <= promised / factor and realised.high >= max(factor * promised, high)
    return "too few" if wide else "holds"
