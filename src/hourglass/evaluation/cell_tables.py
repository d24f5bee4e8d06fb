"""Tables of one cell (data set x variant): scores, thresholds, classes and worst mistakes."""

from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.core.checksums import read_with_checksum
from hourglass.data.prepared_data import SPLITS, Prepared, Samples
from hourglass.detection.attribution import TOP_FEATURES, top_features
from hourglass.detection.detector import Detector
from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics

MAX_MISTAKES = 50  # rows of mistakes.csv per kind of mistake


def write_scores(folder: Path, prepared: Prepared, detector: Detector, test: np.ndarray) -> None:
    """Write scores.parquet: the scores and alarms of all splits except train.

    `test` holds the scores of the test split, (N,).
    """
    parts = []
    for name in SPLITS[1:]:
        part = prepared.split(name)
        scores = {"test": test, "calibration": detector.calibration_scores}.get(name)
        scores = detector.scoring(part.x) if scores is None else scores
        columns = {"id": part.id, "split": name, "label": part.label, "anomaly": part.anomaly}
        alarm = detector.threshold(scores)
        parts.append(pd.DataFrame({**columns, "score": scores, "alarm": alarm}))
    pd.concat(parts, ignore_index=True).to_parquet(folder / "scores.parquet", index=False)


def write_thresholds(
    folder: Path, calibrated: Path, deployed: Threshold, scores: np.ndarray, anomaly: np.ndarray
) -> None:
    """Write thresholds.csv: expected and realised alarms per calibrator.

    The first row is the deployed threshold. `calibrated` is the path of thresholds.json.
    """
    rows = [{"calibrator": "deployed", **metrics.threshold_summary(deployed, scores, anomaly)}]
    for name, entry in read_with_checksum(calibrated).items():
        row = {"refused": entry.get("refused")}
        if "threshold" in entry:
            row = metrics.threshold_summary(Threshold(**entry["threshold"]), scores, anomaly)
        rows.append({"calibrator": name, **row})
    _write(pd.DataFrame(rows), folder / "thresholds.csv")


def write_classes(folder: Path, detector: Detector, test: Samples, scores: np.ndarray) -> None:
    """Write by_class.csv: the metrics of each class."""
    table = metrics.by_class(scores, test.label, test.anomaly, detector.threshold)
    _write(table, folder / "by_class.csv")


def write_mistakes(folder: Path, detector: Detector, test: Samples, scores: np.ndarray) -> None:
    """Write mistakes.csv: the worst false alarms and the worst misses.

    For tables, each row names the features that contributed most to the score.
    """
    parts = [pd.DataFrame(columns=["mistake", "id", "label", "score", "p_value"])]
    for kind, chosen in mistakes(detector.threshold(scores), test.anomaly, scores).items():
        chosen = chosen[:MAX_MISTAKES]
        if not len(chosen):
            continue
        part = {"mistake": kind, "id": test.id[chosen], "label": test.label[chosen]}
        part |= {"score": scores[chosen], "p_value": detector.p_values(scores[chosen])}
        if detector.feature_names:
            contributions = detector.contributions(np.asarray(test.x[chosen]))
            part |= _feature_columns(contributions, np.array(detector.feature_names))
        parts.append(pd.DataFrame(part))
    _write(pd.concat(parts, ignore_index=True), folder / "mistakes.csv")


def mistakes(alarm: np.ndarray, anomaly: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Return the indices of false alarms by descending score, and of misses by ascending score."""
    order = np.argsort(scores, kind="stable")
    return {
        "false alarm": order[::-1][(alarm & ~anomaly)[order[::-1]]],
        "miss": order[(~alarm & anomaly)[order]],
    }


def _feature_columns(contributions: np.ndarray, names: np.ndarray) -> dict[str, np.ndarray]:
    """Return the names and contributions of the top features as columns: (N, F) -> (N,) each."""
    columns: dict[str, np.ndarray] = {}
    indices, values = top_features(contributions, TOP_FEATURES)
    for i in range(indices.shape[1]):
        columns[f"feature_{i + 1}"] = names[indices[:, i]]
        columns[f"contribution_{i + 1}"] = values[:, i]
    return columns


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")
