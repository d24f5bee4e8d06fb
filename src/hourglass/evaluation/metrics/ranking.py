"""Threshold-free metrics, which depend only on the ranking of the scores."""

from dataclasses import dataclass

import numpy as np

RECALL = 0.95  # recall at which the false-positive rate is reported
TOP = 100  # k of precision at k


@dataclass(frozen=True)
class Ranking:
    """Counts of normal and anomalous samples at each of G distinct scores, the highest first.

    Leading dimensions, "...", are resamples. A statistic that depends on the order of equal scores
    is the expectation over a random order.
    """

    normal: np.ndarray  # (..., G)
    anomalous: np.ndarray  # (..., G)

    @property
    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the counts of normal and anomalous samples at each score or above, (..., G)."""
        return self.normal.cumsum(-1), self.anomalous.cumsum(-1)

    def statistics(self) -> dict[str, np.ndarray]:
        """Return the threshold-free metrics, (...) each."""
        normal, anomalous = self.above
        total = anomalous[..., -1]
        precision = anomalous / np.maximum(anomalous + normal, 1)  # avoids 0 / 0 in resamples
        enough = anomalous >= RECALL * total[..., None]
        values = {
            "AUROC": (self.anomalous * win_rate(self.normal)).sum(-1) / total,
            "average_precision": (self.anomalous * precision).sum(-1) / total,
            "FPR_at_95_recall": _first(normal, enough) / normal[..., -1],
        }
        sizes = {f"precision_at_{TOP}": TOP, "precision_at_anomalies": int(total.flat[0])}
        return values | {
            name: self._hits(size) / size
            for name, size in sizes.items()
            if size <= int(total.flat[0] + normal[..., -1].flat[0])
        }

    def _hits(self, size: int) -> np.ndarray:
        """Return the expected number of anomalies among the `size` highest scores, (...)."""
        here = self.normal + self.anomalous
        up_to = here.cumsum(-1)
        # Of the samples tied at the cut-off score, only those needed to reach `size` count.
        taken = np.clip(size - (up_to - here), 0, here)
        return (self.anomalous * taken / np.maximum(here, 1)).sum(-1)


def win_rate(normal: np.ndarray) -> np.ndarray:
    """Return the fraction of normal samples below each distinct score, (..., G).

    `normal` holds the number of normal samples at each score, (..., G), the highest first. Samples
    at the score itself count half.
    """
    above = normal.cumsum(-1)
    return 1 - (above - 0.5 * normal) / above[..., -1:]


def _first(values: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Return the value at the first index that meets `condition`: (..., G) -> (...)."""
    index = condition.argmax(-1)[..., None]
    return np.take_along_axis(values, index, -1)[..., 0]
