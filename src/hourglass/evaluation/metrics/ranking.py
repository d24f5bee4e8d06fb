"""Labelled scores in rank order, and what depends on that order alone."""

from dataclasses import dataclass

import numpy as np

RECALL = 0.95  # at which the share of false alarms is asked for
TOP = 100  # of the samples with the highest scores, how many are anomalies?


@dataclass(frozen=True)
class Ranking:
    """Count samples of either kind at each distinct score, the highest first.

    The counts may be those of many resamples at once: (..., G) for G distinct scores. Samples with
    the same score are never told apart: what depends on their order is its expectation.
    """

    normal: np.ndarray  # (..., G)
    anomalous: np.ndarray  # (..., G)

    @property
    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal and anomalous samples at a score or above, (..., G) each."""
        return self.normal.cumsum(-1), self.anomalous.cumsum(-1)

    def statistics(self) -> dict[str, np.ndarray]:
        """Return what needs no threshold, (...) each."""
        normal, anomalous = self.above
        total = anomalous[..., -1]
        precision = anomalous / np.maximum(anomalous + normal, 1)  # 0 / 0 before the first sample
        enough = anomalous >= RECALL * total[..., None]
        found = {
            "AUROC": (self.anomalous * beaten(self.normal)).sum(-1) / total,
            "average_precision": (self.anomalous * precision).sum(-1) / total,
            "FPR_at_95_recall": _first(normal, enough) / normal[..., -1],
        }
        sizes = {f"precision_at_{TOP}": TOP, "precision_at_anomalies": int(total.flat[0])}
        return found | {
            name: self._hits(size) / size
            for name, size in sizes.items()
            if size <= int(total.flat[0] + normal[..., -1].flat[0])
        }

    def _hits(self, size: int) -> np.ndarray:
        """Return the anomalies among the `size` highest scores, (...)."""
        here = self.normal + self.anomalous
        upto = here.cumsum(-1)
        # Of the samples at the score where `size` is reached, a share is taken.
        taken = np.clip(size - (upto - here), 0, here)
        return (self.anomalous * taken / np.maximum(here, 1)).sum(-1)


def beaten(normal: np.ndarray) -> np.ndarray:
    """Return the share of normal samples that each score beats, equal ones by half: (..., G).

    `normal` (..., G) counts them at each distinct score, the highest first.
    """
    above = normal.cumsum(-1)
    return 1 - (above - 0.5 * normal) / above[..., -1:]


def _first(values: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Return the values at the first place where a condition holds, along the last axis."""
    place = condition.argmax(-1)[..., None]
    return np.take_along_axis(values, place, -1)[..., 0]
