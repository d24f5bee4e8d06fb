"""Stage `calibrate-threshold`: weights and normal scores -> threshold.json."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hourglass.configuration import build
from hourglass.data.packed import Prepared
from hourglass.settings import params
from hourglass.threshold import Calibrator, Threshold
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import Cell


def calibrate_threshold(data: str, model: str) -> Path:
    """Choose the score above which a sample is an alarm, from the calibration split.

    Writes runs/<data>/<model>/threshold.json. The method is `calibration` in params.yaml.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    cell.need_training()
    calibrator = make_calibrator(params().calibration)
    prepared = Prepared.open(cell.prepared)
    with Recorder() as recorder:
        from hourglass.scoring import scores
        from hourglass.weights import load

        normal = prepared.split("calibration").x
        threshold = calibrator(scores(load(cell.folder), normal, prepared.scaling))
        with tempfile.TemporaryDirectory() as folder:
            _record(recorder, cell, prepared, threshold, Path(folder))
        threshold.write(cell / "threshold.json")
    # From here on DVC has the training; before, a killed one goes on from there.
    shutil.rmtree(cell.resume, ignore_errors=True)
    return cell / "threshold.json"


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml asks for."""
    return build(config, Calibrator, "params.yaml, calibration")


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
