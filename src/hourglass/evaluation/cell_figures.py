"""The pictures of one cell, and the curves that two of them draw."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hourglass.data.prepared import Samples
from hourglass.detection import scoring
from hourglass.detection.detector import Detector
from hourglass.evaluation import figures, metrics
from hourglass.evaluation.cell_tables import mistakes
from hourglass.evaluation.figures import Group
from hourglass.networks.variational import Variational

SHOWN = {"images": 10, "features": 4}  # samples a row of a figure
SAMPLES = 50  # made up by a variational network


def write_pictures(
    folder: Path, detector: Detector, test: Samples, scores: np.ndarray, found: dict[str, float]
) -> None:
    """Write figures/, roc.csv and precision_recall.csv; `found` are the metrics they name."""
    curves = {name: getattr(metrics, name)(scores, test.anomaly) for name in
              ("roc", "precision_recall")}  # fmt: skip
    for name, curve in curves.items():
        curve.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    drawn = {"histogram": figures.histogram(scores, test.anomaly, detector.threshold)}
    drawn |= _samples(detector, test, scores)
    if "AUROC" in found:
        drawn["roc"] = figures.roc(curves["roc"], found["AUROC"])
        drawn["precision_recall"] = figures.precision_recall(
            curves["precision_recall"], found["average_precision"], found["prevalence"]
        )
    (folder / "figures").mkdir()
    for name, figure in drawn.items():
        figures.save(figure, folder / "figures" / f"{name}.png")


def _samples(detector: Detector, test: Samples, scores: np.ndarray) -> dict[str, Figure]:
    """Return the figures of samples: typical ones, the worst mistakes, and made-up ones."""
    names, network = detector.feature_names, detector.scoring.network
    wrong = mistakes(detector.threshold(scores), test.anomaly, scores)
    rows = {
        "reconstructions": {"normal": _every(~test.anomaly), "anomalous": _every(test.anomaly)},
        "mistakes": {
            "worst false alarms": wrong["false alarm"],
            "worst misses": wrong["miss"],
        },
    }
    drawn = {}
    for figure, parts in rows.items():
        groups = [
            _group(title, chosen, detector, test, scores)
            for title, chosen in parts.items()
            if len(chosen)
        ]
        if groups:
            drawn[figure] = figures.samples(groups, names)
        if groups and names and figure == "mistakes":
            drawn["attribution"] = figures.contributions(groups, names)
    if isinstance(network, Variational) and not names:
        drawn["samples"] = figures.generated(scoring.samples(network, SAMPLES))
    return drawn


def _every(mask: np.ndarray) -> np.ndarray:
    """Return indices from everywhere among those where a mask holds."""
    return np.flatnonzero(mask)[:: max(1, mask.sum() // SHOWN["images"])]


def _group(
    title: str, chosen: np.ndarray, detector: Detector, test: Samples, scores: np.ndarray
) -> Group:
    chosen = chosen[: SHOWN["features" if detector.feature_names else "images"]]
    x = np.asarray(test.x[chosen])
    network, scaling = detector.scoring.network, detector.scoring.scaling
    outputs = scoring.reconstructions(network, x, scaling)
    captions = [f"{test.label[i]}: {scores[i]:.3g}" for i in chosen]
    return Group(title, scaling(x), outputs, detector.contributions(x), captions)
