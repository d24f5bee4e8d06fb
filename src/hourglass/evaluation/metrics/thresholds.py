"""Metrics at one threshold, and curves over all thresholds."""

import numpy as np
import pandas as pd
from sklearn import metrics as sklearn_metrics

from hourglass.detection.threshold import Threshold


def at_threshold(scores: np.ndarray, anomaly: np.ndarray, threshold: Threshold) -> dict[str, float]:
    """Return precision, recall, F1 and false-alarm rate.

    Ratios that are undefined or say nothing are omitted: precision without alarms; precision,
    recall and F1 without anomalies; the false-alarm rate without normal samples.
    """
    alarm = threshold(scores)
    true_positives = int((alarm & anomaly).sum())
    values: dict[str, float] = {}
    if alarm.any() and anomaly.any():
        values["precision"] = true_positives / int(alarm.sum())
    if anomaly.any():
        values["recall"] = true_positives / int(anomaly.sum())
        values["F1"] = 2 * true_positives / int(alarm.sum() + anomaly.sum())
    if not anomaly.all():
        values["false_alarm_rate"] = float(alarm[~anomaly].mean())
    return values


def alarm_kind(anomaly: np.ndarray) -> str:
    """Return the word for alarms of samples that are not labelled anomalies, (N,) bool.

    Without a labelled anomaly, nothing is known about them.
    """
    return "false alarm" if anomaly.any() else "alarm"


def roc_curve(scores: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return the ROC curve: false_positive_rate and recall at every vertex.

    It is empty unless there are both normal samples and anomalies.
    """
    if anomaly.all() or not anomaly.any():
        return pd.DataFrame({"false_positive_rate": [], "recall": []})
    false_positive_rate, recall, _ = sklearn_metrics.roc_curve(anomaly, scores)
    return pd.DataFrame({"false_positive_rate": false_positive_rate, "recall": recall})


def precision_recall_curve(scores: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return the precision-recall curve by increasing recall; empty without anomalies."""
    if not anomaly.any():
        return pd.DataFrame({"recall": [], "precision": []})
    precision, recall, _ = sklearn_metrics.precision_recall_curve(
        anomaly, scores, drop_intermediate=True
    )
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]})
