"""Scores in, numbers out: all that metrics.json and the tables beside it say of a detector."""

import numpy as np

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics.alarms import at_threshold, of_calibrator
from hourglass.evaluation.metrics.classes import by_class
from hourglass.evaluation.metrics.curves import precision_recall, roc
from hourglass.evaluation.metrics.detection import detection

__all__ = [
    "at_threshold",
    "by_class",
    "detection",
    "of_calibrator",
    "precision_recall",
    "reconstruction_error",
    "roc",
    "summary",
]


def summary(
    scores: np.ndarray, errors: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> dict[str, float]:
    """Return what `metrics.json` and the leaderboard say of a detector."""
    return {
        **detection(scores, anomaly),
        **at_threshold(scores, anomaly, threshold),
        **reconstruction_error(errors, anomaly),
    }


def reconstruction_error(errors: np.ndarray, anomaly: np.ndarray) -> dict[str, float]:
    """Return the mean squared error per element, averaged over normal and anomalous samples."""
    groups = {"normal": errors[~anomaly], "anomalous": errors[anomaly]}
    return {
        f"reconstruction_error_{name}": float(group.mean())
        for name, group in groups.items()
        if len(group)
    }
