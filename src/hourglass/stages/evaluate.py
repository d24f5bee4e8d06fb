"""Stage `evaluate`: weights, threshold and the test split -> metrics, curves and figures."""

import json
import time
from pathlib import Path

from hourglass.data.packed import Prepared
from hourglass.files import whole_files, write_json
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import Cell


def evaluate(data: str, model: str) -> Path:
    """Measure a calibrated detector on the test split.

    No stage before it reads that split. Writes to runs/<data>/<model>/: metrics.json, with 95 %
    bootstrap intervals; scores.parquet (sample id, split, label, score, alarm); by_class.csv, which
    classes are missed; mistakes.csv, the worst of them and the features that contributed most;
    thresholds.csv, the alarms of every calibrator beside what it expected; roc.csv,
    precision_recall.csv, figures/ and timing.json.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    cell.need_calibration()
    prepared = Prepared.open(cell.prepared)
    with Recorder() as recorder:
        with whole_files(cell.folder) as folder:
            _measure(cell, folder, prepared)
            recorder.ask("row")  # where the store refuses what it is told, nothing is kept
        recorder.complete(cell)
    return cell / "metrics.json"


def _measure(cell: Cell, folder: Path, prepared: Prepared) -> None:
    """Write everything to `folder`."""
    # Imported here for the clock: an import is no work.
    from hourglass import metrics
    from hourglass.detection.detector import Detector
    from hourglass.evaluation import pictures, tables

    detector = Detector.load(cell.folder)
    test, threshold = prepared.split("test"), detector.threshold
    start = time.perf_counter()
    scores, errors = detector.scoring.with_errors(test.x)
    seconds = time.perf_counter() - start
    found = metrics.summary(scores, errors, test.anomaly, threshold)
    tables.write_scores(folder, prepared, detector, scores)
    tables.write_thresholds(folder, cell / "thresholds.json", threshold, scores, test.anomaly)
    tables.write_classes(folder, detector, test, scores)
    tables.write_mistakes(folder, detector, test, scores)
    pictures.write_pictures(folder, detector, test, scores, found)
    timing = {
        "train": json.loads((cell / "training.json").read_text(encoding="utf-8")),
        "score": {"seconds": seconds, "samples_per_second": len(scores) / seconds},
        "evaluate": {"seconds": time.perf_counter() - start},
    }
    write_json(folder / "timing.json", timing)
    write_json(folder / "metrics.json", found)
