"""Detection metrics per class."""

import numpy as np
import pandas as pd

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.detection import win_rate


def class_metrics(
    scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> pd.DataFrame:
    """Return the number of samples and the alarm rate per label, and AUROC per anomalous label.

    AUROC compares the anomalies of a label with all normal samples and has a 95 % interval.
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
        resampled_wins = win_rate(bootstrap.draw(rng, normal, size, count))
        batches.append([_resampled_mean(rng, resampled_wins, group) for group in label_ranks])
    resampled_areas = np.concatenate(batches, axis=1)  # (labels, resamples)
    low, high = np.transpose([bootstrap.interval(areas) for areas in resampled_areas])
    areas = [wins[group].mean() for group in label_ranks]
    columns = {"AUROC": areas, "AUROC_low": low, "AUROC_high": high}
    return pd.DataFrame({"label": names, "anomaly": True, **columns})


def _resampled_mean(rng: np.random.Generator, wins: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Resample `ranks` once per row of `wins`, and return the mean win rates, (count,).

    `wins`, (count, G), holds the win rate of each of G ranks per resample of the normal samples.
    """
    resampled = ranks[rng.integers(len(ranks), size=(len(wins), len(ranks)))]
    return np.take_along_axis(wins, resampled, 1).mean(1)
