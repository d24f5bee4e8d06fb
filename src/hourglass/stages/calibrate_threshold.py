"""Stage `calibrate-threshold`: weights and scores -> threshold.json, and others beside it."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.atomic import fsync_all, sha256
from hourglass.core.checksums import file_checksums, write_with_checksum
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import params
from hourglass.data.prepared import Prepared
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import calibration_of, compared, make_calibrator
from hourglass.detection.threshold import Threshold
from hourglass.stages.output import cell_stage

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector


def calibrate_threshold(data: str, model: str) -> Path:
    """Choose the score above which a sample is an alarm.

    The scorer, `score` in params.yaml, learns from the training split. Calibrators of normal scores
    use the calibration split, those of labelled anomalies the tuning split, none the test split.
    Writes to runs/<data>/<model>/calibrate/: threshold.json by the method `calibration` in
    params.yaml, thresholds.json by all of configs/calibrators.yaml, and the files that score new
    samples, detector.json and reference.safetensors.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    with cell_stage("calibrate-threshold", cell, "train") as output:
        calibrator, others = make_calibrator(params().calibration), compared()
        prepared = Prepared.open(cell.prepared)
        detector, calibrated = _calibrate(cell, prepared, calibrator)
        rows = {name: _row(calibrated, each) for name, each in others.items()}
        write_with_checksum(output.folder / "thresholds.json", rows)
        detector.write(output.folder)
        output.timing["detector"] = sha256(output.folder / "detector.json")
        output.timing["score_params"] = detector.scoring.scorer.params()
    # DVC has the training from here on; until now, a killed one could resume.
    if cell.resume.exists():
        fsync_all(cell.output("train").iterdir())
        shutil.rmtree(cell.resume, ignore_errors=True)
    return cell / "calibrate/threshold.json"


def _calibrate(
    cell: Cell, prepared: Prepared, calibrator: Calibrator
) -> tuple["Detector", Callable[[Calibrator], Threshold]]:
    """Return the detector, and what calibrates its scores by other methods."""
    from hourglass.detection.attribution import Profile
    from hourglass.detection.detector import Detector
    from hourglass.detection.scorers.from_settings import make_scorer
    from hourglass.detection.scoring import FittedScorer
    from hourglass.networks.weights import FILES, load

    network, scaling = load(cell.output("train")), prepared.scaling
    scorer = make_scorer(params().score)
    scoring = FittedScorer.fit(network, scaling, scorer, prepared.split("train").x)
    scores = cache(lambda name: scoring(prepared.split(name).x))
    calibrated = calibration_of(prepared, scores)
    profile = Profile.fit(network, scaling, prepared.split("calibration").x)
    detector = Detector(
        inputs=prepared.card,
        scoring=scoring,
        profile=profile,
        calibration=scores("calibration"),
        threshold=calibrated(calibrator),
        network=file_checksums(cell.output("train"), FILES),
    )
    return detector, calibrated


def _row(calibrated: Callable[[Calibrator], Threshold], calibrator: Calibrator) -> dict[str, Any]:
    """Return a threshold, or why there is none: one that is not deployed stops nothing."""
    try:
        return {"threshold": asdict(calibrated(calibrator))}
    except UserError as refusal:
        return {"refused": str(refusal)}
