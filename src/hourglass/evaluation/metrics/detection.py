"""Threshold-free detection metrics with bootstrap intervals."""

import numpy as np

from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.ranking import Ranking

# With fewer anomalies, the interval of FPR_at_95_recall has less than its nominal coverage.
MIN_ANOMALIES_FOR_FPR_INTERVAL = 100


def detection(scores: np.ndarray, anomaly: np.ndarray, intervals: bool = True) -> dict[str, float]:
    """Return AUROC, average precision, prevalence, FPR at 95 % recall and precision at k.

    FPR_at_95_recall is the false-positive rate at the highest threshold with a recall of at least
    95 %. precision_at_100 is the precision among the 100 highest scores. precision_at_anomalies is
    the precision among the k highest scores, for k the number of anomalies.

    With `intervals`, the ends of each 95 % bootstrap interval have the suffixes `_low` and `_high`.
    FPR_at_95_recall has no interval if there are fewer than 100 anomalies.

    The result is empty if all samples are of one kind.
    """
    if anomaly.all() or not anomaly.any():
        return {}
    ranks, size = bootstrap.score_ranks(scores)
    normal, anomalous = ranks[~anomaly], ranks[anomaly]
    counts = [np.bincount(kind, minlength=size) for kind in (normal, anomalous)]
    statistics = {key: float(value) for key, value in Ranking(*counts).statistics().items()}
    ends = _interval_ends(scores, anomaly) if intervals else {}
    if len(anomalous) < MIN_ANOMALIES_FOR_FPR_INTERVAL:
        ends.pop("FPR_at_95_recall", None)
    values: dict[str, float] = {}
    for key, value in statistics.items():
        values |= {key: value, **ends.get(key, {})}
        if key == "average_precision":
            values["prevalence"] = float(anomaly.mean())
    return values


def resamples(scores: np.ndarray, anomaly: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of every stratified bootstrap resample, (R,) each.

    The drawn samples depend only on `anomaly`, so the resamples of two detectors are paired.
    """
    ranks, size = bootstrap.score_ranks(scores)
    normal, anomalous = ranks[~anomaly], ranks[anomaly]
    rng = np.random.default_rng(0)
    parts = [
        Ranking(
            *(bootstrap.draw(rng, kind, size, count) for kind in (normal, anomalous))
        ).statistics()
        for count in bootstrap.batches(len(scores))
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _interval_ends(scores: np.ndarray, anomaly: np.ndarray) -> dict[str, dict[str, float]]:
    ends = {}
    for key, values in resamples(scores, anomaly).items():
        low, high = bootstrap.interval(values)
        ends[key] = {f"{key}_low": low, f"{key}_high": high}
    return ends
