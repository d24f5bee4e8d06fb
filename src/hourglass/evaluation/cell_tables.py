"""The tables of one cell: every score, the thresholds, the classes, the worst mistakes."""

from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.core.checksums import read_with_checksum
from hourglass.data.prepared import SPLITS, Prepared, Samples
from hourglass.detection.attribution import TOP_FEATURES, top_features
from hourglass.detection.detector import Detector
from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics

MISTAKES = 50  # rows of mistakes.csv of either kind, at most


def write_scores(folder: Path, prepared: Prepared, detector: Detector, test: np.ndarray) -> None:
    """Write scores.parquet: every sample but those of train; `test` are that split's scores."""
    parts = []
    for name in SPLITS[1:]:
        part = prepared.split(name)
        scores = {"test": test, "calibration": detector.calibration}.get(name)
        scores = detector.scoring(part.x) if scores is None else scores
        columns = {"id": part.id, "split": name, "label": part.label, "anomaly": part.anomaly}
        alarm = detector.threshold(scores)
        parts.append(pd.DataFrame({**columns, "score": scores, "alarm": alarm}))
    pd.concat(parts, ignore_index=True).to_parquet(folder / "scores.parquet", index=False)


def write_thresholds(
    folder: Path, calibrated: Path, chosen: Threshold, scores: np.ndarray, anomaly: np.ndarray
) -> None:
    """Write what every calibrator expected and what came of it, the deployed one first."""
    others = read_with_checksum(calibrated)
    rows = [{"calibrator": "deployed", **metrics.of_calibrator(chosen, scores, anomaly)}]
    for name, each in others.items():
        row = {"refused": each.get("refused")}
        if "threshold" in each:
            row = metrics.of_calibrator(Threshold(**each["threshold"]), scores, anomaly)
        rows.append({"calibrator": name, **row})
    _write(pd.DataFrame(rows), folder / "thresholds.csv")


def write_classes(folder: Path, detector: Detector, test: Samples, scores: np.ndarray) -> None:
    """Write by_class.csv: which classes are missed, and which alarm without reason."""
    table = metrics.by_class(scores, test.label, test.anomaly, detector.threshold)
    _write(table, folder / "by_class.csv")


def write_mistakes(folder: Path, detector: Detector, test: Samples, scores: np.ndarray) -> None:
    """Write mistakes.csv: the worst first, with what contributed most where features have names."""
    parts = [pd.DataFrame(columns=["mistake", "id", "label", "score", "p_value"])]
    for kind, chosen in mistakes(detector.threshold(scores), test.anomaly, scores).items():
        chosen = chosen[:MISTAKES]
        if not len(chosen):
            continue
        part = {"mistake": kind, "id": test.id[chosen], "label": test.label[chosen]}
        part |= {"score": scores[chosen], "p_value": detector.p_values(scores[chosen])}
        if detector.feature_names:
            contributions = detector.contributions(np.asarray(test.x[chosen]))
            part |= _features(contributions, np.array(detector.feature_names))
        parts.append(pd.DataFrame(part))
    _write(pd.concat(parts, ignore_index=True), folder / "mistakes.csv")


def mistakes(alarm: np.ndarray, anomaly: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Return the indices of false alarms, highest score first, and of misses, lowest first."""
    order = np.argsort(scores, kind="stable")
    return {
        "false alarm": order[::-1][(alarm & ~anomaly)[order[::-1]]],
        "miss": order[(~alarm & anomaly)[order]],
    }


def _features(contributions: np.ndarray, names: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns that name the features which contribute most, and how much: (N, F) -> (N,)."""
    found: dict[str, np.ndarray] = {}
    places, values = top_features(contributions, TOP_FEATURES)
    for i in range(places.shape[1]):
        found |= {f"feature_{i + 1}": names[places[:, i]], f"contribution_{i + 1}": values[:, i]}
    return found


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")
