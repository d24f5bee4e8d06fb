"""Tables of one cell (data set x variant): scores, thresholds, classes and worst mistakes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hourglass.core.checksums import read_with_checksum
from hourglass.core.csv_formulas import write_csv
from hourglass.data.prepared_data import SPLITS, Prepared, Samples
from hourglass.detection.attribution import TOP_FEATURES
from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.detector import Detector
from hourglass.detection.reasons import top_reasons
from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics

MAX_MISTAKES = 50  # rows of mistakes.csv per kind of mistake


def write_scores(folder: Path, prepared: Prepared, detector: Detector, test: np.ndarray) -> None:
    """Write scores.parquet: the scores and alarms of all splits except train.

    `test` holds the scores of the test split, (N,).
    """
    known = {"test": test}
    # Otherwise they are those of folds, or of the blocks of a series.
    own = len(detector.calibration_scores) == len(prepared.x("calibration"))
    if own and not detector.is_series:
        known["calibration"] = detector.calibration_scores
    parts = []
    for name in SPLITS[1:]:
        part = prepared.split(name)
        scores = known[name] if name in known else detector.scoring(part.x)
        columns = {"id": part.id, "split": name, "label": part.label, "anomaly": part.anomaly}
        alarm = detector.threshold(scores)
        parts.append(pd.DataFrame({**columns, "score": scores, "alarm": alarm}))
    pd.concat(parts, ignore_index=True).to_parquet(folder / "scores.parquet", index=False)


def write_thresholds(
    folder: Path,
    calibrated: Path,
    deployed: Threshold,
    scores: np.ndarray,
    anomaly: np.ndarray,
    more: Callable[[Threshold], dict[str, float]] | None = None,
) -> None:
    """Write thresholds.csv: expected and realised alarms per calibrator.

    The first row is the deployed threshold. `calibrated` is the path of thresholds.json. `more`
    gives further columns, such as alarms per day of a series.
    """

    def row(threshold: Threshold) -> dict[str, Any]:
        return {
            "method": threshold.method,
            "settings": json.dumps(threshold.settings),
            "n": threshold.n,
            "threshold": threshold.value,
            "expected_false_alarm_rate": threshold.false_alarm_rate,
            **metrics.at_threshold(scores, anomaly, threshold),
            **(more(threshold) if more else {}),
        }

    rows = [{"calibrator": "deployed", **row(deployed)}]
    for name, entry in read_with_checksum(calibrated).items():
        if "threshold" in entry:
            rows.append({"calibrator": name, **row(Threshold(**entry["threshold"]))})
        else:
            rows.append({"calibrator": name, "refused": entry.get("refused")})
    write_csv(pd.DataFrame(rows), folder / "thresholds.csv")


def write_classes(
    folder: Path,
    detector: Detector,
    test: Samples,
    scores: np.ndarray,
    pixels: pd.DataFrame | None = None,
) -> None:
    """Write by_class.csv: the metrics of each class, with those of its defective pixels."""
    table = metrics.class_metrics(scores, test.label, test.anomaly, detector.threshold)
    if pixels is not None:
        table = table.merge(pixels, how="left", on=["label", "anomaly"])
    write_csv(table, folder / "by_class.csv")


def write_mistakes(folder: Path, detector: Detector, test: Samples, scores: np.ndarray) -> None:
    """Write mistakes.csv: the worst false alarms and the worst misses.

    For tables, each row names the features that contributed most to the score, and the reasons.
    """
    parts = [pd.DataFrame(columns=["mistake", "id", "label", "score", "p_value"])]
    for kind, indices in mistakes(detector.threshold(scores), test.anomaly, scores).items():
        indices = indices[:MAX_MISTAKES]
        if not len(indices):
            continue
        columns = {"mistake": kind, "id": test.id[indices], "label": test.label[indices]}
        columns["score"] = scores[indices]
        columns["p_value"] = p_values(detector.calibration_scores, scores[indices])
        if detector.feature_names:
            columns |= top_reasons(detector, test.x, TOP_FEATURES, rows=indices)
        parts.append(pd.DataFrame(columns))
    write_csv(pd.concat(parts, ignore_index=True), folder / "mistakes.csv")


def mistakes(alarm: np.ndarray, anomaly: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Return the indices of false alarms by descending score, and of misses by ascending score.

    Without labelled anomalies, the alarms are not called false.
    """
    ascending = np.argsort(scores, kind="stable")
    descending = ascending[::-1]
    return {
        metrics.alarm_kind(anomaly): descending[(alarm & ~anomaly)[descending]],
        "miss": ascending[(~alarm & anomaly)[ascending]],
    }
