"""Stage `evaluate`: weights, threshold and test split -> metrics, curves and figures."""

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.atomic import sha256, write_json
from hourglass.core.paths import Cell
from hourglass.core.progress import step
from hourglass.core.suggestions import counted
from hourglass.data.prepared_data import Prepared
from hourglass.stages.output import cell_stage

if TYPE_CHECKING:
    import numpy as np


def evaluate(data: str, model: str) -> Path:
    """Evaluate a calibrated detector on the test split, which no earlier stage reads.

    Files in runs/<data>/<model>/evaluate/: metrics.json (with 95 % intervals, unless there are
    fewer than 10 anomalies or normal samples); scores.parquet (id, split, label, anomaly, score and
    alarm of each sample); by_class.csv (metrics per label); mistakes.csv (the worst mistakes and
    the features that contributed most); thresholds.csv (expected and realised alarms per
    calibrator); roc.csv, precision_recall.csv and figures/. Of a time series, metrics.json also has
    metrics by event and alarms per day of normal time, and events.csv the events of the test split.
    Of images with masks of their defects, metrics.json and by_class.csv also have metrics of
    pixels, and figures/defects.png shows the worst image of each class.

    Examples:
        hourglass evaluate digits denoising

    """
    cell = Cell(data, model)
    with cell_stage("evaluate", cell, "train", "calibrate-threshold") as output:
        output.timing |= _measure(cell, output.folder)
    return cell / "evaluate/metrics.json"


def _measure(cell: Cell, folder: Path) -> dict[str, Any]:
    """Write all files to `folder` and return the timing of scoring."""
    # Imported here to keep the import of this module fast.
    from hourglass.data.series_encoding import SeriesEncoding
    from hourglass.detection.detector import Detector
    from hourglass.evaluation import cell_figures, cell_tables, metrics
    from hourglass.evaluation.cell_events import write_events
    from hourglass.evaluation.cell_pixels import PixelResults, measure_pixels
    from hourglass.evaluation.metrics.series import SeriesRows, normal_alarms, series_metrics

    prepared, detector = Prepared.open(cell.prepared), Detector.of_cell(cell)
    test, threshold = prepared.split("test"), detector.threshold
    encoding = detector.scoring.scaling
    start = time.perf_counter()
    with step(f"evaluate {cell.name}: score {counted(len(test.x), 'sample')}"):
        scores, errors = detector.scoring.with_errors(test.x)
    seconds = time.perf_counter() - start
    with step(f"evaluate {cell.name}: metrics and their bootstrap intervals"):
        summary = metrics.summary(scores, errors, test.anomaly, threshold)
        at_normal = None
        if isinstance(encoding, SeriesEncoding):
            rows, tuning = SeriesRows(test.x, scores, test.anomaly), prepared.split("tuning")
            others = SeriesRows(tuning.x, detector.scoring(tuning.x), tuning.anomaly)
            summary |= series_metrics(rows, others, encoding, threshold)
            at_normal = partial(normal_alarms, rows, encoding)
    pixels = PixelResults({})
    if prepared.has_masks:
        with step(f"evaluate {cell.name}: anomaly maps and metrics of pixels"):
            pixels = measure_pixels(folder, detector, test)
        summary |= pixels.metrics
    _warn_without_intervals(cell, test.anomaly)
    thresholds = cell / "calibrate/thresholds.json"
    cell_tables.write_scores(folder, prepared, detector, scores)
    cell_tables.write_thresholds(folder, thresholds, threshold, scores, test.anomaly, at_normal)
    cell_tables.write_classes(folder, detector, test, scores, pixels.by_class)
    cell_tables.write_mistakes(folder, detector, test, scores)
    if detector.is_series:
        write_events(folder, detector, test, scores)
    more = {"defects": pixels.figure}
    cell_figures.write_figures(folder, cell.title, detector, test, scores, summary, more)
    write_json(folder / "metrics.json", summary)
    # Identify the evaluated detector; detector.json in turn holds the checksums of its inputs.
    write_json(folder / "inputs.json", {"detector.json": sha256(cell / "calibrate/detector.json")})
    return {"score": {"seconds": seconds, "samples_per_second": len(scores) / seconds}}


def _warn_without_intervals(cell: Cell, anomaly: "np.ndarray") -> None:
    """Print that metrics have no intervals, if there are too few anomalies or normal samples."""
    from hourglass.evaluation.metrics.auroc_interval import (
        MIN_SAMPLES_FOR_INTERVAL,
        too_few_samples,
    )

    anomalies = int(anomaly.sum())
    reason = too_few_samples(len(anomaly) - anomalies, anomalies)
    if anomalies and reason:
        print(
            f"{cell.name}: {reason} in the test split for intervals, which need "
            f"{MIN_SAMPLES_FOR_INTERVAL}; the metrics may be far off.",
            file=sys.stderr,
        )
