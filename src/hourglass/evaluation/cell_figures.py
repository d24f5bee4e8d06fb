"""The figures of one cell, and the ROC and precision-recall curves as CSV files."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hourglass.data.prepared_data import Samples
from hourglass.detection import scoring
from hourglass.detection.detector import Detector
from hourglass.evaluation import figures, metrics
from hourglass.evaluation.cell_tables import mistakes
from hourglass.evaluation.figures import Group
from hourglass.evaluation.timeline import Timeline
from hourglass.evaluation.timeline_file import write_timeline
from hourglass.networks.prior import PriorNetwork

# Samples in one row of a figure: images, or bar charts of features.
SAMPLES_PER_ROW = {"images": 10, "features": 4}
GENERATED_SAMPLES = 50


def write_figures(
    folder: Path,
    name: str,
    detector: Detector,
    test: Samples,
    scores: np.ndarray,
    test_metrics: dict[str, float],
    more: dict[str, Figure | None] | None = None,
) -> None:
    """Write figures/, titled with `name`, the curves as CSV, and timeline.json of a series.

    `test_metrics` has the labels of the figures. `more` are figures that are drawn already.
    """
    roc = metrics.roc_curve(scores, test.anomaly)
    precision_recall = metrics.precision_recall_curve(scores, test.anomaly)
    for kind, curve in {"roc": roc, "precision_recall": precision_recall}.items():
        curve.to_csv(folder / f"{kind}.csv", index=False, lineterminator="\n")
    unit = "rows" if detector.is_series else "samples"
    drawn = {"histogram": figures.histogram(scores, test.anomaly, detector.threshold, unit)}
    if detector.is_series:
        series = Timeline.of(detector, test.x, scores, test.anomaly, test.id)
        drawn |= _series_figures(series)
        write_timeline(folder, series)
    else:
        drawn |= _sample_figures(detector, test, scores)
    if "AUROC" in test_metrics:
        drawn["roc"] = figures.roc(roc, test_metrics["AUROC"])
        drawn["precision_recall"] = figures.precision_recall(
            precision_recall, test_metrics["average_precision"], test_metrics["prevalence"]
        )
    (folder / "figures").mkdir()
    drawn |= {kind: figure for kind, figure in (more or {}).items() if figure is not None}
    for kind, figure in drawn.items():
        figures.save(figure, folder / "figures" / f"{kind}.png", name=name)


def _series_figures(series: Timeline) -> dict[str, Figure]:
    """Return the figures of the rows of a series in time, and of their latent codes.

    Single rows would not tell what their windows look like.
    """
    return {
        "timeline": figures.timeline(series),
        "timeline_worst": figures.timeline(series.around_worst()),
        "codes": figures.latent_codes(series),
    }


def _sample_figures(detector: Detector, test: Samples, scores: np.ndarray) -> dict[str, Figure]:
    """Return the figures of typical samples, the worst mistakes and generated samples."""
    names, network = detector.feature_names, detector.scoring.network
    per_row = SAMPLES_PER_ROW["features" if names else "images"]

    def groups(indices_by_title: dict[str, np.ndarray]) -> list[Group]:
        """Return the first samples of each kind; a kind without samples is left out."""
        result = []
        for title, indices in indices_by_title.items():
            if len(indices):
                x = np.asarray(test.x[indices[:per_row]])
                captions = [f"{test.label[i]}: {scores[i]:.3g}" for i in indices[:per_row]]
                result.append(Group.of(detector, title, x, captions))
        return result

    typical = groups({"normal": _spread(~test.anomaly), "anomalous": _spread(test.anomaly)})
    wrong = mistakes(detector.threshold(scores), test.anomaly, scores)
    plural = {
        "miss": "worst misses",
        "alarm": "highest alarms",
        "false alarm": "worst false alarms",
    }
    worst = groups({plural[kind]: indices for kind, indices in wrong.items()})
    drawn = {"reconstructions": figures.samples(typical, names)}
    if worst:
        drawn["mistakes"] = figures.samples(worst, names)
    if worst and names:
        drawn["attribution"] = figures.contributions(worst, names)
    if isinstance(network, PriorNetwork) and not names:
        drawn["samples"] = figures.generated(scoring.generate_samples(network, GENERATED_SAMPLES))
    return drawn


def _spread(mask: np.ndarray) -> np.ndarray:
    """Return evenly spaced indices of the true elements of a mask."""
    return np.flatnonzero(mask)[:: max(1, mask.sum() // SAMPLES_PER_ROW["images"])]
