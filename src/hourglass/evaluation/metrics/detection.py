"""How well scores tell anomalies from normal samples, whatever the threshold."""

import numpy as np

from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.ranking import Ranking

ENOUGH = 100  # anomalies: of fewer, an interval of the FPR holds the true one too rarely


def detection(scores: np.ndarray, anomaly: np.ndarray, intervals: bool = True) -> dict[str, float]:
    """Return AUROC, average precision and the prevalence it depends on, and the top of the ranking.

    FPR_at_95_recall is the share of normal samples above the highest threshold that finds 95 % of
    the anomalies; precision_at_100 and precision_at_anomalies the share of anomalies among that
    many highest scores. With `intervals`, each has the ends of its 95 % bootstrap interval beside
    it, as `_low` and `_high`; that of FPR_at_95_recall is left out below 100 anomalies, of which it
    would hang on a few. Empty where the samples are of one kind only.
    """
    if anomaly.all() or not anomaly.any():
        return {}
    places, size = bootstrap.groups(scores)
    normal, anomalous = places[~anomaly], places[anomaly]
    counts = [np.bincount(each, minlength=size) for each in (normal, anomalous)]
    values = {key: float(value) for key, value in Ranking(*counts).statistics().items()}
    ends = _ends(scores, anomaly) if intervals else {}
    if len(anomalous) < ENOUGH:
        ends.pop("FPR_at_95_recall", None)
    found: dict[str, float] = {}
    for key, value in values.items():
        found |= {key: value, **ends.get(key, {})}
        if key == "average_precision":
            found["prevalence"] = float(anomaly.mean())
    return found


def resamples(scores: np.ndarray, anomaly: np.ndarray) -> dict[str, np.ndarray]:
    """Return what `detection` does, but of each of the stratified bootstrap's resamples, (R,) each.

    Which samples are drawn depends on `anomaly` alone: those of two detectors' scores are paired.
    """
    places, size = bootstrap.groups(scores)
    normal, anomalous = places[~anomaly], places[anomaly]
    rng = np.random.default_rng(0)
    parts = [
        Ranking(
            *(bootstrap.draw(rng, each, size, count) for each in (normal, anomalous))
        ).statistics()
        for count in bootstrap.portions(len(scores))
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _ends(scores: np.ndarray, anomaly: np.ndarray) -> dict[str, dict[str, float]]:
    found = {}
    for key, values in resamples(scores, anomaly).items():
        low, high = bootstrap.interval(values)
        found[key] = {f"{key}_low": low, f"{key}_high": high}
    return found
