"""Stage `calibrate-threshold`: weights and scores -> threshold.json, and others beside it."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.calibration import Calibrator, LabelledCalibrator
from hourglass.configuration import build, read
from hourglass.data.packed import Prepared, Split
from hourglass.errors import Refusal
from hourglass.files import write_json
from hourglass.settings import params
from hourglass.threshold import Threshold
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import CONFIGS, Cell


def calibrate_threshold(data: str, model: str) -> Path:
    """Choose the score above which a sample is an alarm.

    Calibrators of normal scores use the calibration split, those of labelled anomalies the tuning
    split, none of them the test split. Writes runs/<data>/<model>/threshold.json by the method that
    is `calibration` in params.yaml, and thresholds.json by all of configs/calibrators.yaml.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    cell.need_training()
    calibrator, others = make_calibrator(params().calibration), compared()
    prepared = Prepared.open(cell.prepared)
    with Recorder() as recorder:
        from hourglass.scoring import scores
        from hourglass.weights import load

        network = load(cell.folder)
        calibrated = calibration_of(prepared, lambda x: scores(network, x, prepared.scaling))
        threshold = calibrated(calibrator)
        with tempfile.TemporaryDirectory() as folder:
            _record(recorder, cell, prepared, threshold, Path(folder))
        rows = {name: _row(calibrated, each) for name, each in others.items()}
        write_json(cell / "thresholds.json", rows)
        threshold.write(cell / "threshold.json")
    # From here on DVC has the training; before, a killed one goes on from there.
    shutil.rmtree(cell.resume, ignore_errors=True)
    return cell / "threshold.json"


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml asks for."""
    return build(config, Calibrator, "params.yaml, calibration")


def compared() -> dict[str, Calibrator]:
    """Return the calibrators that configs/calibrators.yaml names."""
    path = CONFIGS / "calibrators.yaml"
    return {
        name: build(config, Calibrator, f"{path.as_posix()}, {name}")
        for name, config in read(path, None).items()
    }


def calibration_of(
    prepared: Prepared, score: Callable[[np.ndarray], np.ndarray]
) -> Callable[[Calibrator], Threshold]:
    """Return a function that calibrates on the split that a calibrator is for.

    `score` gives the scores of unscaled samples, (N, *S) -> (N,); a split is scored once.
    """

    @cache
    def scores_of(name: Split) -> np.ndarray:
        return score(prepared.split(name).x)

    def calibrated(calibrator: Calibrator) -> Threshold:
        if isinstance(calibrator, LabelledCalibrator):
            return calibrator(scores_of("tuning"), prepared.split("tuning").anomaly)
        return calibrator(scores_of("calibration"))

    return calibrated


def _row(calibrated: Callable[[Calibrator], Threshold], calibrator: Calibrator) -> dict[str, Any]:
    """Return a threshold, or why there is none: one that is not deployed stops nothing."""
    try:
        return {"threshold": asdict(calibrated(calibrator))}
    except Refusal as refusal:
        return {"refused": str(refusal)}


def _record(
    recorder: Recorder, cell: Cell, prepared: Prepared, threshold: Threshold, folder: Path
) -> None:
    """Add the threshold and the detector it makes to the cell's row in MLflow."""
    recorder.resume(cell, prepared.card, threshold.params(), {"threshold": threshold.value})
    for name in ("weights.safetensors", "network.json"):
        shutil.copy(cell / name, folder)
    shutil.copy(prepared.folder / "card.json", folder)
    threshold.write(folder / "threshold.json")
    example = prepared.folder / "calibration" / "x.npy"
    recorder.tell("model", folder=str(folder), card=prepared.card, example=str(example))
    recorder.ask("row")
