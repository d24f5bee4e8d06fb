"""Threshold-free statistics of labelled scores, which depend on their ranking alone."""

from dataclasses import dataclass

import numpy as np

RECALL = 0.95  # at which the false-positive rate is reported
TOP = 100  # samples with the highest scores, whose precision is reported


@dataclass(frozen=True)
class Ranking:
    """Counts of normal and anomalous samples at each distinct score, the highest first.

    The counts may be those of many resamples at once: (..., G) for G distinct scores. Statistics
    that depend on the order of samples with equal scores take its expectation.
    """

    normal: np.ndarray  # (..., G)
    anomalous: np.ndarray  # (..., G)

    @property
    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal and anomalous samples at a score or above, (..., G) each."""
        return self.normal.cumsum(-1), self.anomalous.cumsum(-1)

    def statistics(self) -> dict[str, np.ndarray]:
        """Return the threshold-free metrics, (...) each."""
        normal, anomalous = self.above
        total = anomalous[..., -1]
        precision = anomalous / np.maximum(anomalous + normal, 1)  # 0 / 0 before the first sample
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
        """Return the anomalies among the `size` highest scores, (...)."""
        here = self.normal + self.anomalous
        up_to = here.cumsum(-1)
        # At the score at which `size` is reached, only a fraction of the samples counts.
        taken = np.clip(size - (up_to - here), 0, here)
        return (self.anomalous * taken / np.maximum(here, 1)).sum(-1)


def win_rate(normal: np.ndarray) -> np.ndarray:
    """Return the fraction of normal samples below each score, ties counted half: (..., G).

    `normal` (..., G) counts them at each distinct score, the highest first.
    """
    above = normal.cumsum(-1)
    return 1 - (above - 0.5 * normal) / above[..., -1:]


def _first(values: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Return the values at the first index at which a condition holds, along the last axis."""
    index = condition.argmax(-1)[..., None]
    return np.take_along_axis(values, index, -1)[..., 0]
