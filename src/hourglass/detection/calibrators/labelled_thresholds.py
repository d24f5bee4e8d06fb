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
        order = np.argsort(-scores)
        at = scores[order]
        last = np.flatnonzero(np.append(at[1:] != at[:-1], True))  # of those with the same score
        at, hits = at[last], np.cumsum(anomaly[order])[last]
        false_alarms = last + 1 - hits
        below = np.append(at[1:], np.nextafter(at[-1], -np.inf))  # the next lower score
        between = np.maximum(below, at / 2 + below / 2)
        between = np.where(between < at, between, below)  # neighbours without a number between
        hits, false_alarms = np.append(0, hits), np.append(0, false_alarms)
        return cls(
            value=np.append(at[0], between),
            hits=hits,
            misses=hits[-1] - hits,
            false_alarms=false_alarms,
            passed=false_alarms[-1] - false_alarms,
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
