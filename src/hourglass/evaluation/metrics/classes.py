"""Detection metrics per class."""

import numpy as np
import pandas as pd

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.ranking import win_rate


def by_class(
    scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> pd.DataFrame:
    """Return samples and alarm rate per label, and for anomalous labels AUROC with its interval.

    AUROC compares the anomalies of a label with all normal samples. Anomalous labels come first, by
    increasing AUROC, then normal labels by decreasing alarm rate.
    """
    alarm = threshold(scores)
    rows = []
    for kind in (True, False):
        for name in np.unique(label[anomaly == kind]):
            members = (label == name) & (anomaly == kind)
            counts = {"samples": int(members.sum()), "alarm_rate": float(alarm[members].mean())}
            rows.append({"label": str(name), "anomaly": kind, **counts})
    table = pd.DataFrame(rows)
    if anomaly.any() and not anomaly.all():
        areas = _auroc_by_label(scores, label, anomaly)
        table = table.merge(areas, how="left", on=["label", "anomaly"])
    worst = table["AUROC"] if "AUROC" in table else -table["alarm_rate"]
    order = table.assign(worst=worst.where(table["anomaly"], -table["alarm_rate"]))
    order = order.sort_values(["anomaly", "worst"], ascending=[False, True], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _auroc_by_label(scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return AUROC per anomalous label; resamples are stratified by label."""
    ranks, size = bootstrap.score_ranks(scores)
    normal = ranks[~anomaly]
    names = np.unique(label[anomaly])
    members = [ranks[anomaly & (label == name)] for name in names]
    wins = win_rate(np.bincount(normal, minlength=size))
    rng, parts = np.random.default_rng(0), []
    for count in bootstrap.batches(len(scores)):
        resampled = win_rate(bootstrap.draw(rng, normal, size, count))
        parts.append([_resampled_mean(rng, resampled, of_label) for of_label in members])
    drawn = np.concatenate(parts, axis=1)
    rows = []
    for name, of_label, values in zip(names, members, drawn, strict=True):
        low, high = bootstrap.interval(values)
        area = {"AUROC": wins[of_label].mean(), "AUROC_low": low, "AUROC_high": high}
        rows.append({"label": str(name), "anomaly": True, **area})
    return pd.DataFrame(rows)


def _resampled_mean(rng: np.random.Generator, wins: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the mean win rate of resamples of some samples: (count, G) -> (count,)."""
    drawn = ranks[rng.integers(len(ranks), size=(len(wins), len(ranks)))]
    return np.take_along_axis(wins, drawn, 1).mean(1)
