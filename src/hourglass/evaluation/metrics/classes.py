"""Detection metrics per class."""

import numpy as np
import pandas as pd

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.ranking import win_rate


def by_class(
    scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> pd.DataFrame:
    """Return the number of samples and the alarm rate per label, and AUROC per anomalous label.

    AUROC compares the anomalies of a label with all normal samples and has a 95 % interval.
    Anomalous labels come first, by increasing AUROC, then normal labels by decreasing alarm rate.
    """
    alarm = threshold(scores)
    rows = []
    for is_anomaly in (True, False):
        for name in np.unique(label[anomaly == is_anomaly]):
            members = (label == name) & (anomaly == is_anomaly)
            counts = {"samples": int(members.sum()), "alarm_rate": float(alarm[members].mean())}
            rows.append({"label": str(name), "anomaly": is_anomaly, **counts})
    table = pd.DataFrame(rows)
    if anomaly.any() and not anomaly.all():
        areas = _auroc_by_label(scores, label, anomaly)
        table = table.merge(areas, how="left", on=["label", "anomaly"])
    sort_key = table["AUROC"] if "AUROC" in table else -table["alarm_rate"]
    order = table.assign(sort_key=sort_key.where(table["anomaly"], -table["alarm_rate"]))
    order = order.sort_values(["anomaly", "sort_key"], ascending=[False, True], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


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
    rows = []
    for name, group, values in zip(names, label_ranks, resampled_areas, strict=True):
        low, high = bootstrap.interval(values)
        area = {"AUROC": wins[group].mean(), "AUROC_low": low, "AUROC_high": high}
        rows.append({"label": str(name), "anomaly": True, **area})
    return pd.DataFrame(rows)


def _resampled_mean(rng: np.random.Generator, wins: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Resample `ranks` once per row of `wins`, and return the mean win rates, (count,).

    `wins`, (count, G), holds the win rate of each of G ranks per resample of the normal samples.
    """
    resampled = ranks[rng.integers(len(ranks), size=(len(wins), len(ranks)))]
    return np.take_along_axis(wins, resampled, 1).mean(1)
