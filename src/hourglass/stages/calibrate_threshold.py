"""Stage `calibrate-threshold`: weights and scores -> threshold.json, and others beside it."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.calibration import Calibrator, LabelledCalibrator
from hourglass.configuration import build, read
from hourglass.data.packed import Prepared, Split
from hourglass.detection.threshold import Threshold
from hourglass.errors import Refusal
from hourglass.files import settle, whole_files
from hourglass.seals import digests, write_sealed
from hourglass.settings import params
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import CONFIGS, TRAINED, Cell

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector
    from hourglass.scorers import Scorer


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
    # From here on DVC has the training; before, a killed one goes on from there. First its files
    # must be on the disk: hours may have gone into them, and a power cut may come.
    settle(cell / file for file in TRAINED)
    shutil.rmtree(cell.resume, ignore_errors=True)
    return cell / "threshold.json"


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml asks for."""
    return build(config, Calibrator, "params.yaml, calibration")


def make_scorer(config: dict[str, Any]) -> "Scorer":
    """Return the scorer that `score` in params.yaml asks for."""
    from hourglass.scorers import Scorer  # which imports torch

    scorer: Scorer = build(config, Scorer, "params.yaml, score")
    return scorer


def compared() -> dict[str, Calibrator]:
    """Return the calibrators that configs/calibrators.yaml names."""
    path = CONFIGS / "calibrators.yaml"
    return {
        name: build(config, Calibrator, f"{path.as_posix()}, {name}")
        for name, config in read(path, None).items()
    }


def calibration_of(
    prepared: Prepared, scores: Callable[[Split], np.ndarray]
) -> Callable[[Calibrator], Threshold]:
    """Return a function that calibrates on the split that a calibrator is for.

    `scores` gives those of a split, (N,).
    """

    def calibrated(calibrator: Calibrator) -> Threshold:
        if isinstance(calibrator, LabelledCalibrator):
            return calibrator(scores("tuning"), prepared.split("tuning").anomaly)
        return calibrator(scores("calibration"))

    return calibrated


def _calibrate(
    cell: Cell, prepared: Prepared, calibrator: Calibrator
) -> tuple["Detector", Callable[[Calibrator], Threshold]]:
    """Return the detector, and what calibrates its scores by other methods."""
    from hourglass.detection.attribution import Profile
    from hourglass.detection.detector import Detector
    from hourglass.detection.scoring import Scoring
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
