"""Paired comparison of two detectors on the same samples."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.auroc_interval import Z_95, too_few_samples
from hourglass.evaluation.metrics.detection import detection, resampled_metrics


@dataclass(frozen=True)
class Difference:
    """A metric of two detectors, and the 95 % interval of the first value minus the second."""

    first: float
    second: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Return True if the first detector is significantly better: the interval is above 0."""
        return self.low > 0

    def __str__(self) -> str:
        """Return the numbers as part of a sentence."""
        difference = f"{self.first - self.second:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"
        return f"{self.first:.4f} against {self.second:.4f}, {difference}"


def differences(
    first: np.ndarray, second: np.ndarray, anomaly: np.ndarray
) -> dict[str, Difference]:
    """Compare AUROC and average precision of two detectors' scores of the same samples, (N,) each.

    The interval is the percentile interval of a paired bootstrap: each resample draws the same
    samples for both detectors, stratified into normal samples and anomalies. The effect of samples
    that are hard for both cancels out, so the interval is narrower than the two separate intervals
    suggest. With too few samples for an interval it spans all possible differences, -1 to 1.

    Raises a ValueError unless there are both normal samples and anomalies.
    """
    if anomaly.all() or not anomaly.any():
        raise ValueError("AUROC is undefined; give both normal samples and anomalies")
    values = [detection(scores, anomaly, intervals=False) for scores in (first, second)]
    sizes = (int((~anomaly).sum()), int(anomaly.sum()))
    ends = {"AUROC": (-1.0, 1.0), "average_precision": (-1.0, 1.0)}
    if not too_few_samples(*sizes):
        resampled = [resampled_metrics(scores, anomaly) for scores in (first, second)]
        ends = {
            name: bootstrap.interval(resampled[0][name] - resampled[1][name], min(sizes))
            for name in ends
        }
    first_values, second_values = values
    return {name: Difference(first_values[name], second_values[name], *ends[name]) for name in ends}


def auroc_differs(first: np.ndarray, second: np.ndarray, anomaly: np.ndarray) -> bool:
    """Return True if the AUROC of two detectors differs significantly, at the 5 % level.

    The test of DeLong et al. (1988) for scores of the same samples, (N,) each. It agrees with the
    interval of `differences` except near its ends, and takes milliseconds for any number of
    samples. With too few samples for an interval, no difference is significant.
    """
    if too_few_samples((~anomaly).sum(), anomaly.sum()):
        return False
    placements = [_placements(scores, anomaly) for scores in (first, second)]
    normal, anomalous = (one - other for one, other in zip(*placements, strict=True))
    variance = normal.var(ddof=1) / len(normal) + anomalous.var(ddof=1) / len(anomalous)
    return bool(abs(anomalous.mean()) > Z_95 * np.sqrt(variance))


def _placements(scores: np.ndarray, anomaly: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of anomalies above each normal, and of normal samples below each anomaly.

    Equal scores count half. The mean of either is AUROC.
    """
    ranks, normal, anomalous = rankdata(scores), ~anomaly, anomaly
    below = (ranks[anomalous] - rankdata(scores[anomalous])) / normal.sum()
    above = 1 - (ranks[normal] - rankdata(scores[normal])) / anomalous.sum()
    return above, below
