"""Whether what a stage left in a cell's folder is of the cell's present training and threshold.

A pipeline that was stopped half-way leaves files of before beside new ones. Each function returns
None where what it looks at belongs to the rest, "" where there is nothing, and otherwise why not.
"""

import csv
import json
from pathlib import Path
from typing import Any

from hourglass.files import sha256
from hourglass.workspace import CALIBRATED, Cell

WEIGHTS = "weights"  # in study/timing.json: the SHA-256 of those that were studied


def of_calibration(cell: Cell) -> str | None:
    """Say why the calibration is not of the weights that are there."""
    if not all((cell / file).exists() for file in CALIBRATED):
        return ""
    made_for = _json(cell / "detector.json")["files"]["weights.safetensors"]
    own = made_for == sha256(cell / "weights.safetensors")
    return None if own else "is of an earlier training"


def of_evaluation(cell: Cell) -> str | None:
    """Say why the evaluation is not of the training and the thresholds that are there."""
    files = [cell / name for name in ("metrics.json", "timing.json", "thresholds.csv")]
    if not all(file.exists() for file in files):
        return ""
    if of_calibration(cell) is not None:
        return "is of an earlier calibration"
    if _json(cell / "timing.json")["train"] != _json(cell / "training.json"):
        return "is of an earlier training"
    return None if _evaluated(cell) == _calibrated(cell) else "is of an earlier calibration"


def of_study(cell: Cell) -> str | None:
    """Say why the study is not of the weights that are there; of some data there is none."""
    path = cell / "study/timing.json"
    studied = _json(path).get(WEIGHTS) if path.exists() else None
    if not studied:
        return ""
    own = studied == sha256(cell / "weights.safetensors")
    return None if own else "is of an earlier training"


def _evaluated(cell: Cell) -> dict[str, float]:
    """Return the thresholds that were evaluated, the deployed one and all it is compared with."""
    with (cell / "thresholds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["calibrator"]: float(row["threshold"]) for row in rows if row["threshold"]}


def _calibrated(cell: Cell) -> dict[str, float]:
    """Return the thresholds that `calibrate-threshold` left."""
    others = {
        name: float(each["threshold"]["value"])
        for name, each in _json(cell / "thresholds.json").items()
        if "threshold" in each
    }
    return {"deployed": float(_json(cell / "threshold.json")["value"]), **others}


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
