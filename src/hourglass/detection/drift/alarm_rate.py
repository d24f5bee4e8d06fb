"""Whether a threshold still calls as many samples alarms as its calibration promised."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import binomtest

from hourglass.detection.threshold import Threshold

Decisions: TypeAlias = Literal["holds", "more", "fewer", "too few"]

FACTOR = 2.0  # a rate that may as well be half or twice what was promised says nothing


@dataclass(frozen=True)
class Rate:
    """A share of alarms, and the Clopper-Pearson interval for the rate behind it."""

    alarms: int
    samples: int
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, alarm: np.ndarray, confidence: float) -> "Rate":
        """Return the rate of alarms, (N,) bool; the interval covers at least with `confidence`."""
        count, total = int(alarm.sum()), len(alarm)
        interval = binomtest(count, total).proportion_ci(confidence, method="exact")
        return cls(count, total, count / total, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class AlarmRateCheck:
    """What was promised of new normal samples, what calibration saw, and what came of it."""

    promised: float  # by the threshold's method, or the share of calibration samples above it
    calibrated: Rate
    realised: Rate
    verdict: Decisions

    @classmethod
    def of(
        cls, threshold: Threshold, calibration: np.ndarray, scores: np.ndarray, alpha: float
    ) -> "AlarmRateCheck":
        """Return the promise of a threshold and what new scores, (m,), make of it.

        Both intervals have a confidence of 1 - alpha / 2. Where they are apart the threshold does
        not hold: if calibration and new samples have one rate, that happens with a chance of alpha
        at most. Of a conformal threshold the upper end is the quantile of the very Beta
        distribution that the rate of the deployed detector has (Vovk 2012, proposition 2a).
        """
        confidence = 1 - alpha / 2
        before = Rate.of(threshold(calibration), confidence)
        now = Rate.of(threshold(scores), confidence)
        stated = threshold.false_alarm_rate
        promised = before.rate if stated is None else stated
        return cls(promised, before, now, _verdict(promised, before, now))


def _verdict(promised: float, before: Rate, now: Rate) -> Decisions:
    """Say whether the interval now lies apart from the promise and what calibration left open."""
    low, high = min(before.low, promised), max(before.high, promised)
    if now.low > high:
        return "more"
    if now.high < low:
        return "fewer"
    # An interval as wide as that one at either end tells nothing of a threshold that holds.
    wide = now.low <= promised / FACTOR and now.high >= max(FACTOR * promised, high)
    return "too few" if wide else "holds"
