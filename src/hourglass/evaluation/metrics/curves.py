"""Curves over all thresholds; scikit-learn's, on raw scores."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve


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
