"""Metrics of a detector, computed from scores and labels."""

import numpy as np

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics.classes import by_class
from hourglass.evaluation.metrics.detection import detection
from hourglass.evaluation.metrics.thresholds import (
    at_threshold,
    precision_recall,
    roc,
    threshold_summary,
)

__all__ = [
    "at_threshold",
    "by_class",
    "detection",
    "precision_recall",
    "reconstruction_error",
    "roc",
    "summary",
    "threshold_summary",
]


def summary(
    scores: np.ndarray, errors: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> dict[str, float]:
    """Return the content of metrics.json, from scores, squared errors and labels, (N,) each."""
    return {
        **detection(scores, anomaly),
        **at_threshold(scores, anomaly, threshold),
        **reconstruction_error(errors, anomaly),
    }


def reconstruction_error(errors: np.ndarray, anomaly: np.ndarray) -> dict[str, float]:
    """Return the mean reconstruction error of the normal and of the anomalous samples.

    `errors` holds the mean squared error per element of each sample, (N,).
    """
    groups = {"normal": errors[~anomaly], "anomalous": errors[anomaly]}
    return {
        f"reconstruction_error_{name}": float(group.mean())
        for name, group in groups.items()
        if len(group)
    }
