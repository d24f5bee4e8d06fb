"""What a calibrator is: settings first, then scores in and a Threshold out."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.threshold import Threshold

if TYPE_CHECKING:
    from hourglass.detection.calibrators.labelled_thresholds import Cuts


class Calibrator(ABC):
    """Choose a threshold from the scores of normal samples. The constructor takes the settings."""

    method: ClassVar[str]

    def __call__(self, scores: np.ndarray) -> Threshold:
        """Return the threshold for the scores of normal samples, (n,).

        Raises a UserError where there is none, or one is not finite.
        """
        scores = self._checked(scores)
        return self._threshold(self.value(scores), len(scores), self.expected(scores))

    @abstractmethod
    def value(self, scores: np.ndarray) -> float:
        """Return the threshold's value for finite scores, (n,) float64."""

    def expected(self, scores: np.ndarray) -> float | None:
        """Return the share of new normal samples that the method expects to call alarms, if any."""
        return None

    def _checked(self, scores: np.ndarray) -> np.ndarray:
        scores = np.asarray(scores, np.float64)
        if not len(scores):
            raise UserError(f"{self.method} was given no scores; its split is empty.")
        if not np.isfinite(scores).all():
            raise UserError(f"{self.method} was given a score that is not finite; train again.")
        return scores

    def _threshold(self, value: float, n: int, expected: float | None) -> Threshold:
        if not np.isfinite(value):
            raise UserError(
                f"{self.method} with {vars(self)} gives {value}; choose other settings."
            )
        rate = None if expected is None else float(expected)
        return Threshold(float(value), self.method, dict(vars(self)), n, rate)


class LabelledCalibrator(Calibrator):
    """Choose a threshold from the scores of normal samples and of labelled anomalies."""

    def __call__(self, scores: np.ndarray, anomaly: np.ndarray | None = None) -> Threshold:
        """Return the threshold for scores, (n,), of which `anomaly`, (n,) bool, are anomalies.

        Raises a UserError where either kind is missing: a threshold that is the best one without
        anomalies alarms on nothing, or on everything.
        """
        from hourglass.detection.calibrators.labelled_thresholds import Cuts

        scores = self._checked(scores)
        if anomaly is None or not anomaly.any():
            raise UserError(
                f"{self.method} needs labelled anomalies, but the tuning split holds none; choose "
                "a calibrator of normal samples, such as conformal."
            )
        if anomaly.all():
            raise UserError(f"{self.method} needs normal samples, but the tuning split holds none.")
        cuts = Cuts.of(scores, anomaly)
        best = self.choose(cuts)
        return self._threshold(cuts.value[best], len(scores), cuts.false_alarm_rate[best])

    def value(self, scores: np.ndarray) -> float:
        """Refuse: without labels there is no value."""
        raise UserError(f"{self.method} needs labelled anomalies.")

    @abstractmethod
    def choose(self, cuts: "Cuts") -> int:
        """Return the index of the best of all cuts."""


def need_share(name: str, value: float) -> float:
    """Return a setting that must lie between 0 and 1, both excluded; else raise a UserError."""
    if not 0 < value < 1:  # written so that NaN, which compares as False, is refused
        raise UserError(f"{name} is {value}, but must be between 0 and 1.")
    return value
