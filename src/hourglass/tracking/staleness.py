"""Staleness checks: whether outputs belong to the current weights and threshold.

An interrupted pipeline leaves old folders beside new ones. Each function returns None if the folder
is current, "" if there is none, and otherwise the reason.
"""

import json
from pathlib import Path
from typing import Any

from hourglass.core.atomic import sha256
from hourglass.core.paths import Cell

WEIGHTS = "weights.safetensors"


def of_calibration(cell: Cell) -> str | None:
    """Check that the calibration belongs to the current weights."""
    if not cell.output("calibrate-threshold").exists():
        return ""
    calibrated = _json(cell / "calibrate/detector.json")["files"][WEIGHTS]
    current = calibrated == sha256(cell / f"train/{WEIGHTS}")
    return None if current else "is of an earlier training"


def of_evaluation(cell: Cell) -> str | None:
    """Check that the evaluation belongs to the current detector."""
    if not cell.output("evaluate").exists():
        return ""
    evaluated = _json(cell / "evaluate/inputs.json")["detector.json"]
    path = cell / "calibrate/detector.json"
    current = of_calibration(cell) is None and evaluated == sha256(path)
    return None if current else "is of an earlier calibration"


def of_study(cell: Cell) -> str | None:
    """Check that the study belongs to the current weights; some data sets have none."""
    path = cell / "study/inputs.json"
    if not path.exists():
        return ""
    current = _json(path)[WEIGHTS] == sha256(cell / f"train/{WEIGHTS}")
    return None if current else "is of an earlier training"


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
