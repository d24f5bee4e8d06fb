"""Scores in, numbers out. Curves and areas are scikit-learn's, on raw scores."""

import json
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from hourglass.threshold import Threshold


def summary(
    scores: np.ndarray, errors: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> dict[str, float]:
    """Return all that `metrics.json` and the leaderboard say of a detector."""
    return {
        **detection(scores, anomaly),
        **at_threshold(scores, anomaly, threshold),
        **reconstruction_error(errors, anomaly),
    }


def detection(scores: np.ndarray, anomaly: np.ndarray) -> dict[str, float]:
    """Return what needs no threshold: AUROC, average precision and the prevalence it depends on.

    Empty where the samples are of one kind only: there is nothing to tell apart.
    """
    if anomaly.all() or not anomaly.any():
        return {}
    return {
        "AUROC": float(roc_auc_score(anomaly, scores)),
        "average_precision": float(average_precision_score(anomaly, scores)),
        "prevalence": float(anomaly.mean()),
    }


def at_threshold(scores: np.ndarray, anomaly: np.ndarray, threshold: Threshold) -> dict[str, float]:
    """Return precision, recall, F1 and false-alarm rate of the alarms.

    A share of nothing is left out: precision without alarms, recall without anomalies.
    """
    alarm = threshold(scores)
    hits = int((alarm & anomaly).sum())
    found: dict[str, float] = {}
    if alarm.any():
        found["precision"] = hits / int(alarm.sum())
    if anomaly.any():
        found["recall"] = hits / int(anomaly.sum())
        found["F1"] = 2 * hits / int(alarm.sum() + anomaly.sum())
    if not anomaly.all():
        found["false_alarm_rate"] = float(alarm[~anomaly].mean())
    return found


def of_calibrator(threshold: Threshold, scores: np.ndarray, anomaly: np.ndarray) -> dict[str, Any]:
    """Return how a threshold was found, the false-alarm rate it expected, and its alarms."""
    return {
        "method": threshold.method,
        "settings": json.dumps(threshold.settings),
        "n": threshold.n,
        "threshold": threshold.value,
        "expected_false_alarm_rate": threshold.false_alarm_rate,
        **at_threshold(scores, anomaly, threshold),
    }


def reconstruction_error(errors: np.ndarray, anomaly: np.ndarray) -> dict[str, float]:
    """Return the mean squared error per element, averaged over normal and anomalous samples."""
    groups = {"normal": errors[~anomaly], "anomalous": errors[anomaly]}
    return {
        f"reconstruction_error_{name}": float(group.mean())
        for name, group in groups.items()
        if len(group)
    }


def roc(scores: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return the ROC curve: false_positive_rate and recall at every threshold that matters.

    Empty where the samples are of one kind only.
    """
    if anomaly.all() or not anomaly.any():
        return pd.DataFrame({"false_positive_rate": [], "recall": []})
    false_positive_rate, recall, _ = roc_curve(anomaly, scores)
    return pd.DataFrame({"false_positive_rate": false_positive_rate, "recall": recall})


def precision_recall(scores: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return precision and recall at every threshold, by rising recall; empty without anomalies."""
    if not anomaly.any():
        return pd.DataFrame({"recall": [], "precision": []})
    precision, recall, _ = precision_recall_curve(anomaly, scores, drop_intermediate=True)
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]})
