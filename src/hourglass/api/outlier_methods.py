"""Inference methods of scikit-learn's outlier detectors, shared by all detectors of the API."""

import math
from typing import Any

import numpy as np

from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.detector import Detector


class OutlierMethods:
    """Decisions about samples, from their anomaly scores and a calibrated detector.

    A row of a table without any value has no score: NaN, and no alarm.
    """

    @property
    def _detector(self) -> Detector:
        """Return the calibrated detector."""
        raise NotImplementedError

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Return the anomaly scores, (N,); a higher score is more abnormal."""
        raise NotImplementedError

    @property
    def threshold_(self) -> float:
        """Return the anomaly score above which a sample is an outlier."""
        return float(self._detector.threshold.value)

    @property
    def offset_(self) -> float:
        """Return minus `threshold_`, less a tolerance for rounding."""
        return -self.threshold_ - rounding_tolerance(self.threshold_)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the anomaly scores, (N,); a higher score is more normal."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return `score_samples` minus `offset_`, (N,); outliers have negative values."""
        scores = self.score_samples(X)
        return scores - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for each normal sample and -1 for each outlier, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Return conformal p-values, (N,), from the calibration samples; outliers have small ones.

        A new normal sample has a p-value of at most t with a probability of at most t.
        """
        scores = self.anomaly_score(X)
        found = p_values(self._detector.calibration_scores, scores)
        return np.where(np.isnan(scores), np.nan, found)


def rounding_tolerance(score: float) -> float:
    """Return a bound of the rounding error of a score in float32.

    The last bits of a score depend on the size of a large batch. Without a tolerance, the
    calibration sample whose score is the threshold could be an outlier in some batches.
    """
    return 1e-6 * (abs(score) + math.sqrt(abs(score)))
