"""Detection metrics per class."""

import numpy as np
import pandas as pd

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.auroc_interval import auroc_interval, too_few_samples
from hourglass.evaluation.metrics.detection import win_rate


def class_metrics(
    scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> pd.DataFrame:
    """Return the number of samples and the alarm rate per label, and AUROC per anomalous label.

    AUROC compares the anomalies of a label with all normal samples. It has a 95 % interval unless
    there are too few samples.
    Anomalous labels come first, by increasing AUROC, then normal labels by decreasing alarm rate.
    """
    samples = pd.DataFrame({"label": label, "anomaly": anomaly, "alarm": threshold(scores)})
    alarms = samples.groupby(["label", "anomaly"]).alarm
    table = alarms.agg(samples="size", alarm_rate="mean").reset_index()
    sort_key = -table.alarm_rate
    if anomaly.any() and not anomaly.all():
        areas = _auroc_by_label(scores, label, anomaly)
        table = table.merge(areas, how="left", on=["label", "anomaly"])
        sort_key = table.AUROC.where(table.anomaly, sort_key)
    table = table.assign(sort_key=sort_key).sort_values(
        ["anomaly", "sort_key"], ascending=[False, True], ignore_index=True
    )
    return table.drop(columns="sort_key")


def _auroc_by_label(scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return AUROC per anomalous label, and its interval from resamples stratified by label."""
    ranks, size = bootstrap.score_ranks(scores)
    normal = ranks[~anomaly]
    names = np.unique(label[anomaly])
    label_ranks = [ranks[anomaly & (label == name)] for name in names]
    wins = win_rate(np.bincount(normal, minlength=size))
    rng, batches = np.random.default_rng(0), []
    for count in bootstrap.batches(len(scores)):
        resampled_wins = win_rate(bootstrap.draw(rng, normal, size, count))  # (count, size)
        means = []
        for group in label_ranks:
            resampled = group[rng.integers(len(group), size=(count, len(group)))]
            means.append(np.take_along_axis(resampled_wins, resampled, 1).mean(1))
        batches.append(means)
    resampled_areas = np.concatenate(batches, axis=1)  # (labels, resamples)
    areas = [float(wins[group].mean()) for group in label_ranks]
    ends = [
        (np.nan, np.nan)
        if too_few_samples(len(normal), len(group))
        else auroc_interval(area, resampled, len(normal), len(group))
        for group, area, resampled in zip(label_ranks, areas, resampled_areas, strict=True)
    ]
    low, high = np.transpose(ends)
    columns = {"AUROC": areas, "AUROC_low": low, "AUROC_high": high}
    return pd.DataFrame({"label": names, "anomaly": True, **columns})
