"""Whether one detector is better than another on the same samples, by more than chance."""

from dataclasses import dataclass

import numpy as np

from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.detection import detection, resamples


@dataclass(frozen=True)
class Difference:
    """Hold a metric of two detectors, and the 95 % interval of the first minus the second."""

    first: float
    second: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Return whether the first is better by more than the interval."""
        return self.low > 0

    def __str__(self) -> str:
        """Return the figures as part of a sentence."""
        by = f"{self.first - self.second:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"
        return f"{self.first:.4f} against {self.second:.4f}, {by}"


def differences(
    first: np.ndarray, second: np.ndarray, anomaly: np.ndarray
) -> dict[str, Difference]:
    """Return AUROC and average precision of two detectors' scores of the same samples, (N,) each.

    The interval is the percentile interval of a paired bootstrap: each resample draws the same
    samples for both, normal and anomalous ones each among theirs. What makes a sample hard for both
    so cancels, and the interval is narrower than those of the two metrics suggest. Raises a
    ValueError where the samples are of one kind only.
    """
    if anomaly.all() or not anomaly.any():
        raise ValueError("the samples are of one kind only, so there is nothing to tell apart")
    values = [detection(each, anomaly, intervals=False) for each in (first, second)]
    drawn = [resamples(each, anomaly) for each in (first, second)]
    return {
        key: Difference(
            values[0][key], values[1][key], *bootstrap.interval(drawn[0][key] - drawn[1][key])
        )
        for key in ("AUROC", "average_precision")
    }
