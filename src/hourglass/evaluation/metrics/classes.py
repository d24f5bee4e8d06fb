"""Which classes are missed: the metrics of every label on its own."""

import numpy as np
import pandas as pd

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.ranking import beaten


def by_class(
    scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray, threshold: Threshold
) -> pd.DataFrame:
    """Return for each label its samples and alarms, and of anomalous ones AUROC with its interval.

    AUROC is that of the label's anomalies against all normal samples. The label that is told apart
    worst comes first among the anomalous ones, the one with most alarms among the normal ones.
    """
    alarm = threshold(scores)
    rows = []
    for kind in (True, False):
        for name in np.unique(label[anomaly == kind]):
            chosen = (label == name) & (anomaly == kind)
            counts = {"samples": int(chosen.sum()), "alarm_rate": float(alarm[chosen].mean())}
            rows.append({"label": str(name), "anomaly": kind, **counts})
    table = pd.DataFrame(rows)
    if anomaly.any() and not anomaly.all():
        areas = _areas(scores, label, anomaly)
        table = table.merge(areas, how="left", on=["label", "anomaly"])
    worst = table["AUROC"] if "AUROC" in table else -table["alarm_rate"]
    order = table.assign(worst=worst.where(table["anomaly"], -table["alarm_rate"]))
    order = order.sort_values(["anomaly", "worst"], ascending=[False, True], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _areas(scores: np.ndarray, label: np.ndarray, anomaly: np.ndarray) -> pd.DataFrame:
    """Return AUROC of each anomalous label; a resample draws normal samples, and each label's."""
    places, size = bootstrap.groups(scores)
    normal = places[~anomaly]
    names = np.unique(label[anomaly])
    members = [places[anomaly & (label == name)] for name in names]
    own = beaten(np.bincount(normal, minlength=size))
    rng, parts = np.random.default_rng(0), []
    for count in bootstrap.portions(len(scores)):
        shares = beaten(bootstrap.draw(rng, normal, size, count))
        parts.append([_mean(rng, shares, each) for each in members])
    drawn = np.concatenate(parts, axis=1)
    rows = []
    for name, each, values in zip(names, members, drawn, strict=True):
        low, high = bootstrap.interval(values)
        area = {"AUROC": own[each].mean(), "AUROC_low": low, "AUROC_high": high}
        rows.append({"label": str(name), "anomaly": True, **area})
    return pd.DataFrame(rows)


def _mean(rng: np.random.Generator, shares: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the mean share that resamples of some samples beat: (count, G) -> (count,)."""
    drawn = places[rng.integers(len(places), size=(len(shares), len(places)))]
    return np.take_along_axis(shares, drawn, 1).mean(1)
