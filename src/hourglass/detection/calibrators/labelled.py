"""Thresholds from labelled anomalies: of the tuning split, never of the test split."""

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import LabelledCalibrator, need_share
from hourglass.detection.calibrators.labelled_thresholds import Cuts


class MaxF1(LabelledCalibrator):
    """Set the threshold with the largest F1; the highest of several.

    F1, and so the threshold, depends on the prevalence in the tuning split.
    """

    method = "max_f1"

    def choose(self, cuts: Cuts) -> int:
        """Return the index of the largest F1."""
        return int(np.argmax(cuts.f1))


class Cost(LabelledCalibrator):
    """Set the threshold with the least cost, given that of a `miss` and of a `false_alarm`.

    `prevalence` is the share of anomalies where the detector is used; without it that of the
    tuning split, which is rarely the same. The highest of several thresholds.
    """

    method = "cost"

    def __init__(
        self, miss: float = 10.0, false_alarm: float = 1.0, prevalence: float | None = None
    ) -> None:
        for name, value in (("miss", miss), ("false_alarm", false_alarm)):
            if not 0 <= value < np.inf:
                raise UserError(f"the cost {name} is {value}, but must be 0 or more, and finite.")
        self.miss = miss
        self.false_alarm = false_alarm
        self.prevalence = prevalence if prevalence is None else need_share("prevalence", prevalence)

    def choose(self, cuts: Cuts) -> int:
        """Return the index of the least expected cost of a sample."""
        share = self.prevalence
        if share is None:
            anomalies = cuts.hits[0] + cuts.misses[0]
            share = anomalies / (anomalies + cuts.false_alarms[0] + cuts.passed[0])
        missed = share * self.miss * (1 - cuts.recall)
        return int(np.argmin(missed + (1 - share) * self.false_alarm * cuts.false_alarm_rate))


class RecallAt(LabelledCalibrator):
    """Set the highest threshold that finds a share of `recall` of the anomalies."""

    method = "recall_at"

    def __init__(self, recall: float = 0.95) -> None:
        if not 0 < recall <= 1:
            raise UserError(f"recall is {recall}, but must be above 0 and at most 1.")
        self.recall = recall

    def choose(self, cuts: Cuts) -> int:
        """Return the index of the first cut with that recall."""
        return int(np.argmax(cuts.recall >= self.recall))


class PrecisionAt(LabelledCalibrator):
    """Set the threshold with the most recall of those where a share of `precision` is right.

    The precision is that at the prevalence of the tuning split. Raises a UserError where no threshold
    with an alarm reaches it.
    """

    method = "precision_at"

    def __init__(self, precision: float = 0.9) -> None:
        if not 0 < precision <= 1:
            raise UserError(f"precision is {precision}, but must be above 0 and at most 1.")
        self.precision = precision

    def choose(self, cuts: Cuts) -> int:
        """Return the index of the last cut with that precision and a hit."""
        found = np.flatnonzero((cuts.precision >= self.precision) & (cuts.hits > 0))
        if not len(found):
            best = cuts.precision[cuts.hits > 0].max()
            raise UserError(f"precision {self.precision} is not reached; the best is {best:.3f}.")
        return int(found[-1])
