"""Every way to cut labelled scores in two, and what each would cost."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cuts:
    """All distinct cuts of labelled scores, from no alarm at all to nothing but alarms: (m,)."""

    value: np.ndarray  # alarm where a score is above it
    hits: np.ndarray  # anomalies above
    misses: np.ndarray  # anomalies below
    false_alarms: np.ndarray  # normal samples above
    passed: np.ndarray  # normal samples below

    @classmethod
    def of(cls, scores: np.ndarray, anomaly: np.ndarray) -> "Cuts":
        """Return the cuts of scores, (n,). Each lies halfway between two neighbours."""
        from sklearn.metrics import confusion_matrix_at_thresholds

        passed, false_alarms, misses, hits, at = confusion_matrix_at_thresholds(anomaly, scores)
        below = np.append(at[1:], np.nextafter(at[-1], -np.inf))  # the next lower score
        between = np.maximum(below, at / 2 + below / 2)
        between = np.where(between < at, between, below)  # neighbours without a number between
        none = (0, int((~anomaly).sum()), int(anomaly.sum()))
        return cls(
            value=np.append(at[0], between),
            hits=np.append(none[0], hits),
            misses=np.append(none[2], misses),
            false_alarms=np.append(none[0], false_alarms),
            passed=np.append(none[1], passed),
        )

    @property
    def false_alarm_rate(self) -> np.ndarray:
        """Return the share of normal samples above each cut."""
        return self.false_alarms / (self.false_alarms + self.passed)

    @property
    def recall(self) -> np.ndarray:
        """Return the share of anomalies above each cut."""
        return self.hits / (self.hits + self.misses)

    @property
    def precision(self) -> np.ndarray:
        """Return the share of anomalies among all samples above each cut; 1 without any."""
        alarms = self.hits + self.false_alarms
        return np.where(alarms == 0, 1.0, self.hits / np.maximum(alarms, 1))

    @property
    def f1(self) -> np.ndarray:
        """Return the harmonic mean of precision and recall."""
        return 2 * self.hits / (2 * self.hits + self.false_alarms + self.misses)
