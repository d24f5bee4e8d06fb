"""Threshold-free detection metrics, which depend only on the ranking of the scores."""

import numpy as np

from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.auroc_interval import auroc_interval, too_few_samples

RECALL = 0.95  # recall at which the false-positive rate is reported
TOP = 100  # k of precision at k
# With fewer anomalies, the interval of FPR_at_95_recall covers less than its nominal 95 %.
MIN_ANOMALIES_FOR_FPR_INTERVAL = 100


def detection(scores: np.ndarray, anomaly: np.ndarray, intervals: bool = True) -> dict[str, float]:
    """Return AUROC, average precision, FPR at 95 % recall and precision at k.

    The number of anomalies and their share, the prevalence, are among the values.

    FPR_at_95_recall is the false-positive rate at the highest threshold with a recall of at least
    95 %. precision_at_100 is the precision among the 100 highest scores. precision_at_anomalies is
    the precision among the k highest scores, where k is the number of anomalies.

    With `intervals`, the ends of each 95 % interval have the suffixes `_low` and `_high`. There are
    none with fewer than MIN_SAMPLES_FOR_INTERVAL anomalies or normal samples, and none of a metric
    that is the same in all resamples. FPR_at_95_recall needs 100 anomalies.

    The result is empty if all samples are normal or all are anomalies.
    """
    if anomaly.all() or not anomaly.any():
        return {}
    anomalies = int(anomaly.sum())
    sizes = (len(anomaly) - anomalies, anomalies)
    resampled = {}
    if intervals and not too_few_samples(*sizes):
        resampled = resampled_metrics(scores, anomaly)
    if anomalies < MIN_ANOMALIES_FOR_FPR_INTERVAL:
        resampled.pop("FPR_at_95_recall", None)
    ranks, size = bootstrap.score_ranks(scores)
    counts = [np.bincount(ranks[mask], minlength=size) for mask in (~anomaly, anomaly)]
    values: dict[str, float] = {}
    for name, value in ranking_metrics(*counts).items():
        values[name] = float(value)
        if name in resampled:
            ends = bootstrap.interval(resampled[name], min(sizes))
            if name == "AUROC":
                ends = auroc_interval(values[name], resampled[name], *sizes)
            if ends[0] < ends[1]:
                values[f"{name}_low"], values[f"{name}_high"] = ends
        if name == "average_precision":
            values |= {"prevalence": float(anomaly.mean()), "anomalies": float(anomalies)}
    return values


def resampled_metrics(scores: np.ndarray, anomaly: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics of R stratified bootstrap resamples, (R,) each.

    The drawn samples depend only on `anomaly`, so the resamples of two detectors are paired.
    """
    ranks, size = bootstrap.score_ranks(scores)
    rng, batches = np.random.default_rng(0), []
    for count in bootstrap.batches(len(scores)):
        normal = bootstrap.draw(rng, ranks[~anomaly], size, count)
        anomalous = bootstrap.draw(rng, ranks[anomaly], size, count)
        batches.append(ranking_metrics(normal, anomalous))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def ranking_metrics(normal: np.ndarray, anomalous: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics of one or more rankings, (...) each.

    `normal` and `anomalous` hold the number of samples at each of G distinct scores, (..., G), the
    highest first. A metric that depends on the order of equal scores is the expectation over a
    random order.
    """
    samples = normal + anomalous
    false_positives, true_positives = normal.cumsum(-1), anomalous.cumsum(-1)
    alarms = false_positives + true_positives
    anomalies = true_positives[..., -1]
    precision = true_positives / np.maximum(alarms, 1)  # avoids 0 / 0 in resamples
    reached = (true_positives >= RECALL * anomalies[..., None]).argmax(-1)[..., None]
    false_positives_at_recall = np.take_along_axis(false_positives, reached, -1)[..., 0]
    values = {
        "AUROC": (anomalous * win_rate(normal)).sum(-1) / anomalies,
        "average_precision": (anomalous * precision).sum(-1) / anomalies,
        "FPR_at_95_recall": false_positives_at_recall / false_positives[..., -1],
    }
    # All resamples have the same number of anomalies and of samples.
    for name, k in ((f"precision_at_{TOP}", TOP), ("precision_at_anomalies", anomalies.flat[0])):
        if k <= alarms.flat[-1]:
            # Of the samples tied at the k-th score, only those needed to reach k count.
            taken = np.clip(k - (alarms - samples), 0, samples)
            values[name] = (anomalous * taken / np.maximum(samples, 1)).sum(-1) / k
    return values


def win_rate(normal: np.ndarray) -> np.ndarray:
    """Return the fraction of normal samples below each distinct score, (..., G).

    `normal` holds the number of normal samples at each score, (..., G), the highest first. Samples
    at the score itself count half.
    """
    above = normal.cumsum(-1)
    return 1 - (above - 0.5 * normal) / above[..., -1:]
