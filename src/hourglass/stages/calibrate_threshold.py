"""Stage `calibrate-threshold`: a trained network -> scores -> a threshold and a detector."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.atomic import fsync_all, sha256
from hourglass.core.checksums import file_checksums, write_with_checksum
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import params
from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import (
    check_calibration_samples,
    comparison_calibrators,
    make_calibrator,
)
from hourglass.detection.pixel_settings import read_pixel_settings
from hourglass.detection.threshold import Threshold
from hourglass.stages.output import cell_stage

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector


def calibrate_threshold(data: str, model: str) -> Path:
    """Select the threshold: a sample with a higher score raises an alarm.

    The scorer (`score` in params.yaml) is fitted to the training split. Unsupervised calibrators
    use the calibration split; for a series, the highest score of each block of one window.
    Supervised ones use the tuning split. The test split is not used. If the calibration split is
    too small for the calibrator, networks are trained on folds of train, validation and
    calibration, and their out-of-fold scores are used (cross-conformal).

    Of images, the detector also gets a threshold on the pixels of anomaly maps (`pixel_threshold`
    in params.yaml), which marks defects.

    Three results are written to runs/<data>/<model>/calibrate/: threshold.json, by the calibrator
    `calibration` in params.yaml; thresholds.json, by all calibrators of configs/calibrators.yaml;
    and the detector for new samples, detector.json and reference.safetensors.

    Examples:
        hourglass calibrate-threshold digits denoising

    """
    cell = Cell(data, model)
    with cell_stage("calibrate-threshold", cell, "train") as output:
        calibrator = make_calibrator(params().calibration)
        comparison = comparison_calibrators()
        detector, calibrate_scores = _calibrate(cell, calibrator)
        rows: dict[str, dict[str, Any]] = {}
        for name, other in comparison.items():
            try:
                rows[name] = {"threshold": asdict(calibrate_scores(other))}
            except UserError as error:  # only the selected calibrator must apply
                rows[name] = {"refused": str(error)}
        write_with_checksum(output.folder / "thresholds.json", rows)
        detector.write(output.folder)  # with threshold.json
        output.timing["detector"] = sha256(output.folder / "detector.json")
        output.timing["score_params"] = detector.scoring.scorer.params()
    # DVC has cached the weights by now, so training will not resume from the checkpoints.
    if cell.resume.exists():
        fsync_all(cell.output("train").iterdir())
        shutil.rmtree(cell.resume, ignore_errors=True)
    return cell / "calibrate/threshold.json"


def _calibrate(
    cell: Cell, calibrator: Calibrator
) -> tuple["Detector", Callable[[Calibrator], Threshold]]:
    """Return the detector, and a function that applies any calibrator to its scores."""
    from hourglass.detection.calibration import calibrate_detector
    from hourglass.detection.folds import split_needs_folds
    from hourglass.detection.scorers.from_settings import make_scorer
    from hourglass.networks.weights import FILES, load

    prepared, folder = Prepared.open(cell.prepared), cell.output("train")
    network, scorer = load(folder), make_scorer(params().score)
    checksums = file_checksums(folder, FILES)
    train, seed = None, params().seed
    if split_needs_folds(calibrator, prepared):
        from hourglass.training.fold_training import read_fold_training

        train = read_fold_training(folder)
        print(check_calibration_samples(prepared.card, calibrator), file=sys.stderr)
    pixels = read_pixel_settings(params().pixel_threshold)
    detector, calibrate_scores = calibrate_detector(
        network, prepared, scorer, calibrator, checksums, train, seed, pixels
    )
    if detector.pixels and detector.pixels.refused:
        print(f"{cell.name} has no pixel threshold: {detector.pixels.refused}", file=sys.stderr)
    return detector, calibrate_scores
