"""What comes of a threshold: alarms, right and wrong."""

import json
from typing import Any

import numpy as np

from hourglass.detection.threshold import Threshold


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
