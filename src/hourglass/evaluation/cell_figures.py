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
from hourglass.networks.variational import Variational

# Samples in one row of a figure: images, or bar charts of features.
SAMPLES_PER_ROW = {"images": 10, "features": 4}
GENERATED_SAMPLES = 50


def write_figures(
    folder: Path,
    detector: Detector,
    test: Samples,
    scores: np.ndarray,
    test_metrics: dict[str, float],
) -> None:
    """Write figures/, roc.csv and precision_recall.csv; `test_metrics` has the figures' labels."""
    curves = {
        "roc": metrics.roc(scores, test.anomaly),
        "precision_recall": metrics.precision_recall(scores, test.anomaly),
    }
    for name, curve in curves.items():
        curve.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    drawn = {"histogram": figures.histogram(scores, test.anomaly, detector.threshold)}
    drawn |= _sample_figures(detector, test, scores)
    if "AUROC" in test_metrics:
        drawn["roc"] = figures.roc(curves["roc"], test_metrics["AUROC"])
        drawn["precision_recall"] = figures.precision_recall(
            curves["precision_recall"],
            test_metrics["average_precision"],
            test_metrics["prevalence"],
        )
    (folder / "figures").mkdir()
    for name, figure in drawn.items():
        figures.save(figure, folder / "figures" / f"{name}.png")


def _sample_figures(detector: Detector, test: Samples, scores: np.ndarray) -> dict[str, Figure]:
    """Return the figures of typical samples, the worst mistakes and generated samples."""
    names, network = detector.feature_names, detector.scoring.network
    wrong = mistakes(detector.threshold(scores), test.anomaly, scores)
    rows = {
        "reconstructions": {"normal": _spread(~test.anomaly), "anomalous": _spread(test.anomaly)},
        "mistakes": {
            "worst false alarms": wrong["false alarm"],
            "worst misses": wrong["miss"],
        },
    }
    drawn = {}
    for figure, parts in rows.items():
        groups = [
            _group(title, indices, detector, test, scores)
            for title, indices in parts.items()
            if len(indices)
        ]
        if groups:
            drawn[figure] = figures.samples(groups, names)
        if groups and names and figure == "mistakes":
            drawn["attribution"] = figures.contributions(groups, names)
    if isinstance(network, Variational) and not names:
        drawn["samples"] = figures.generated(scoring.generate_samples(network, GENERATED_SAMPLES))
    return drawn


def _spread(mask: np.ndarray) -> np.ndarray:
    """Return evenly spaced indices of the true elements of a mask."""
    return np.flatnonzero(mask)[:: max(1, mask.sum() // SAMPLES_PER_ROW["images"])]


def _group(
    title: str, indices: np.ndarray, detector: Detector, test: Samples, scores: np.ndarray
) -> Group:
    indices = indices[: SAMPLES_PER_ROW["features" if detector.feature_names else "images"]]
    x = np.asarray(test.x[indices])
    network, scaling = detector.scoring.network, detector.scoring.scaling
    outputs = scoring.reconstructions(network, x, scaling)
    captions = [f"{test.label[i]}: {scores[i]:.3g}" for i in indices]
    return Group(title, scaling(x), outputs, detector.contributions(x), captions)
