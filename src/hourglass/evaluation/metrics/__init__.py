"""Metrics of a detector, computed from scores and labels."""

import numpy as np

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics.classes import class_metrics
from hourglass.evaluation.metrics.detection import detection
from hourglass.evaluation.metrics.thresholds import (
    alarm_kind,
    at_threshold,
    precision_recall_curve,
    roc_curve,
)

__all__ = [
    "alarm_kind",
    "at_threshold",
    "class_metrics",
    "detection",
    "precision_recall_curve",
    "reconstruction_error",
    "roc_curve",
    "summary",
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
