"""A test of the alarm rate on new samples against the rate expected at calibration."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import binomtest

from hourglass.detection.threshold import Threshold

Verdict: TypeAlias = Literal["holds", "more", "fewer", "too few"]

# An interval from half to twice the expected rate is too wide for a verdict.
UNINFORMATIVE_FACTOR = 2.0


@dataclass(frozen=True)
class Rate:
    """An alarm rate with its Clopper-Pearson interval."""

    alarms: int
    samples: int
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, alarm: np.ndarray, confidence: float) -> "Rate":
        """Return the rate of alarms, (N,) bool, and an interval of at least this confidence."""
        count, total = int(alarm.sum()), len(alarm)
        interval = binomtest(count, total).proportion_ci(confidence, method="exact")
        return cls(count, total, count / total, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class AlarmRateCheck:
    """The expected alarm rate, the rates on calibration and new samples, and the verdict."""

    # Expected by the calibration method, or else the alarm rate on calibration samples.
    promised: float
    calibrated: Rate
    realised: Rate
    verdict: Verdict

    @classmethod
    def of(
        cls, threshold: Threshold, calibration: np.ndarray, scores: np.ndarray, alpha: float
    ) -> "AlarmRateCheck":
        """Compare the alarm rates of calibration scores, (n,), and new scores, (m,).

        Both intervals have confidence 1 - alpha / 2. If they do not overlap, the alarm rate has
        changed: without a change, this happens with probability at most alpha. For a conformal
        threshold, the upper end of the calibration interval is a quantile of the Beta distribution
        of the deployed detector's false-alarm rate (Vovk 2012, proposition 2a).
        """
        confidence = 1 - alpha / 2
        calibrated = Rate.of(threshold(calibration), confidence)
        realised = Rate.of(threshold(scores), confidence)
        expected = threshold.false_alarm_rate
        promised = calibrated.rate if expected is None else expected
        return cls(promised, calibrated, realised, _verdict(promised, calibrated, realised))


def _verdict(promised: float, calibrated: Rate, realised: Rate) -> Verdict:
    """Compare the new interval with the calibration interval, extended to the promised rate."""
    low, high = min(calibrated.low, promised), max(calibrated.high, promised)
    if realised.low > high:
        return "more"
    if realised.high < low:
        return "fewer"
    factor = UNINFORMATIVE_FACTOR
    is_too_wide = realised.low <= promised / factor and realised.high >= max(
        factor * promised, high
    )
    return "too few" if is_too_wide else "holds"
