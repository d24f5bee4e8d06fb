"""Thresholds from labelled anomalies of the tuning split, never of the test split."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator, check_fraction
from hourglass.detection.threshold import Threshold


@dataclass(frozen=True)
class CandidateThresholds:
    """The thresholds between distinct labelled scores, in falling order; each array is (m,)."""

    value: np.ndarray  # a score above it is an alarm
    true_positives: np.ndarray
    false_positives: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, anomaly: np.ndarray) -> "CandidateThresholds":
        """Return the candidates for scores, (n,), and the mask of anomalies, (n,) bool.

        The candidates are the highest score, the midpoints between neighbouring distinct scores,
        and a value just below the lowest score.
        """
        order = np.argsort(-scores)
        ordered = scores[order]
        # The index of the last sample in each group of equal scores.
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        distinct, true_positives = ordered[last], np.cumsum(anomaly[order])[last]
        below = np.append(distinct[1:], np.nextafter(distinct[-1], -np.inf))  # next lower score
        between = np.maximum(below, distinct / 2 + below / 2)
        between = np.where(between < distinct, between, below)  # adjacent floats have no midpoint
        return cls(
            value=np.append(distinct[0], between),
            true_positives=np.append(0, true_positives),
            false_positives=np.append(0, last + 1 - true_positives),
        )

    @property
    def anomalies(self) -> int:
        """Return the number of anomalies; at the last candidate, all samples are alarms."""
        return int(self.true_positives[-1])

    @property
    def normal_samples(self) -> int:
        """Return the number of normal samples."""
        return int(self.false_positives[-1])

    @property
    def false_alarm_rate(self) -> np.ndarray:
        """Return the fraction of normal samples that raise an alarm."""
        return self.false_positives / self.normal_samples

    @property
    def recall(self) -> np.ndarray:
        """Return the fraction of anomalies that raise an alarm."""
        return self.true_positives / self.anomalies

    @property
    def precision(self) -> np.ndarray:
        """Return the fraction of alarms that are anomalies; 1 without alarms."""
        alarms = self.true_positives + self.false_positives
        return np.where(alarms == 0, 1.0, self.true_positives / np.maximum(alarms, 1))

    @property
    def f1(self) -> np.ndarray:
        """Return the harmonic mean of precision and recall."""
        positives = self.true_positives + self.false_positives + self.anomalies
        return 2 * self.true_positives / positives


class LabelledCalibrator(Calibrator):
    """Choose a threshold from the scores of normal samples and of labelled anomalies."""

    def __call__(self, scores: np.ndarray, anomaly: np.ndarray | None = None) -> Threshold:
        """Return the threshold for scores, (n,), and the mask of anomalies, (n,) bool.

        Raises a UserError without normal samples or without anomalies: the optimum would then raise
        an alarm for every sample, or for none.
        """
        scores = self._checked(scores)
        if anomaly is None or not anomaly.any():
            raise UserError(
                f"{self.method} needs labelled anomalies, but the tuning split holds none; choose "
                "a calibrator that uses normal samples only, such as conformal."
            )
        if anomaly.all():
            raise UserError(
                f"{self.method} needs normal samples, but the tuning split holds none; add normal "
                "samples to the data set."
            )
        candidates = CandidateThresholds.of(scores, anomaly)
        best = self.choose(candidates)
        rate = candidates.false_alarm_rate[best]
        return self._threshold(candidates.value[best], len(scores), rate)

    def value(self, scores: np.ndarray) -> float:
        """Raise a UserError, because this calibrator needs labels."""
        raise UserError(
            f"{self.method} needs labelled anomalies; choose a calibrator that uses normal samples "
            "only, such as conformal."
        )

    @abstractmethod
    def choose(self, candidates: CandidateThresholds) -> int:
        """Return the index of the best candidate; on ties, the highest threshold."""


class MaxF1(LabelledCalibrator):
    """Set the threshold with the largest F1.

    F1, and so the threshold, depends on the prevalence of anomalies in the tuning split.
    """

    method = "max_f1"

    def choose(self, candidates: CandidateThresholds) -> int:
        """Return the index of the largest F1."""
        return int(np.argmax(candidates.f1))


class Cost(LabelledCalibrator):
    """Set the threshold with the least expected cost, given the costs of both kinds of error.

    `miss` is the cost of a missed anomaly, `false_alarm` that of a false alarm. `prevalence` is the
    fraction of anomalies in deployment. The default is the fraction in the tuning split, which
    usually differs from that in deployment.
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
        self.prevalence = (
            prevalence if prevalence is None else check_fraction("prevalence", prevalence)
        )

    def choose(self, candidates: CandidateThresholds) -> int:
        """Return the index of the least expected cost per sample."""
        prevalence = self.prevalence
        if prevalence is None:
            prevalence = candidates.anomalies / (candidates.anomalies + candidates.normal_samples)
        missed = prevalence * self.miss * (1 - candidates.recall)
        false_alarms = (1 - prevalence) * self.false_alarm * candidates.false_alarm_rate
        return int(np.argmin(missed + false_alarms))


class RecallAt(LabelledCalibrator):
    """Set the highest threshold with at least this `recall`."""

    method = "recall_at"

    def __init__(self, recall: float = 0.95) -> None:
        if not 0 < recall <= 1:
            raise UserError(f"recall is {recall}, but must be above 0 and at most 1.")
        self.recall = recall

    def choose(self, candidates: CandidateThresholds) -> int:
        """Return the index of the first candidate that reaches the recall."""
        return int(np.argmax(candidates.recall >= self.recall))


class PrecisionAt(LabelledCalibrator):
    """Set the threshold with the highest recall among those with at least this `precision`.

    Precision depends on the prevalence of anomalies in the tuning split. Raises a UserError if no
    threshold with a true positive reaches this precision.
    """

    method = "precision_at"

    def __init__(self, precision: float = 0.9) -> None:
        if not 0 < precision <= 1:
            raise UserError(f"precision is {precision}, but must be above 0 and at most 1.")
        self.precision = precision

    def choose(self, candidates: CandidateThresholds) -> int:
        """Return the index of the last candidate with this precision and a true positive."""
        precision, has_hit = candidates.precision, candidates.true_positives > 0
        reached = np.flatnonzero((precision >= self.precision) & has_hit)
        if not len(reached):
            best = precision[has_hit].max()
            raise UserError(
                f"precision {self.precision} is not reached; the best is {best:.3f}; "
                "choose a lower `precision`."
            )
        return int(reached[-1])
