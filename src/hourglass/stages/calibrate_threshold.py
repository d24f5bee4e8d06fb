"""Stage `calibrate-threshold`: weights and scores -> threshold.json, and others beside it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.calibration import Calibrator
from hourglass.calibration.chosen import calibration_of, compared, make_calibrator
from hourglass.data.packed import Prepared
from hourglass.detection.threshold import Threshold
from hourglass.errors import Refusal
from hourglass.files import settle, whole_files
from hourglass.seals import digests, write_sealed
from hourglass.settings import params
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import TRAINED, Cell

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector


LONG = 60  # seconds of training that nobody wants to lose to a power cut


def calibrate_threshold(data: str, model: str) -> Path:
    """Choose the score above which a sample is an alarm.

    The scorer that is `score` in params.yaml learns from the training split. Calibrators of normal
    scores use the calibration split, those of labelled anomalies the tuning split, none of them the
    test split. Writes to runs/<data>/<model>/: threshold.json by the method that is `calibration`
    in params.yaml, thresholds.json by all of configs/calibrators.yaml, and what new samples are
    judged by, detector.json and reference.safetensors.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    cell.need_training()
    calibrator, others = make_calibrator(params().calibration), compared()
    prepared = Prepared.open(cell.prepared)
    with Recorder() as recorder:
        detector, calibrated = _calibrate(cell, prepared, calibrator)
        rows = {name: _row(calibrated, each) for name, each in others.items()}
        with whole_files(cell.folder) as folder:
            write_sealed(folder / "thresholds.json", rows)
            detector.write(folder)
            recorder.ask("row")  # where the store refuses what it is told, nothing is kept
        recorder.complete(cell)
    # From here on DVC has the training; before, a killed one goes on from there.
    _settle(cell)
    shutil.rmtree(cell.resume, ignore_errors=True)
    return cell / "threshold.json"


def _settle(cell: Cell) -> None:
    """Have a training that took long on the disk before that goes from which it could go on."""
    summary = json.loads((cell / "training.json").read_text(encoding="utf-8"))
    if summary.get("seconds", LONG) >= LONG:
        settle(cell / file for file in TRAINED)


def _calibrate(
    cell: Cell, prepared: Prepared, calibrator: Calibrator
) -> tuple["Detector", Callable[[Calibrator], Threshold]]:
    """Return the detector, and what calibrates its scores by other methods."""
    from hourglass.detection.attribution import Profile
    from hourglass.detection.detector import Detector
    from hourglass.detection.scoring import Scoring
    from hourglass.scorers.chosen import make_scorer
    from hourglass.weights import FILES, load

    network, scaling = load(cell.folder), prepared.scaling
    scorer = make_scorer(params().score)
    scoring = Scoring.fit(network, scaling, scorer, prepared.split("train").x)
    scores = cache(lambda name: scoring(prepared.split(name).x))
    calibrated = calibration_of(prepared, scores)
    profile = Profile.fit(network, scaling, prepared.split("calibration").x)
    detector = Detector(
        inputs=prepared.card,
        scoring=scoring,
        profile=profile,
        calibration=scores("calibration"),
        threshold=calibrated(calibrator),
        network=digests(cell.folder, FILES),
    )
    return detector, calibrated


def _row(calibrated: Callable[[Calibrator], Threshold], calibrator: Calibrator) -> dict[str, Any]:
    """Return a threshold, or why there is none: one that is not deployed stops nothing."""
    try:
        return {"threshold": asdict(calibrated(calibrator))}
    except Refusal as refusal:
        return {"refused": str(refusal)}
