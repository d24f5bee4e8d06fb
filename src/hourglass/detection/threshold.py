"""Score thresholds: a sample with a score above the threshold raises an alarm."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.atomic import write_json
from hourglass.core.errors import UserError


@dataclass(frozen=True)
class Threshold:
    """A threshold on scores, with the calibration method that set it."""

    value: float  # in the units of the score
    method: str  # name of the calibrator, such as "k_sigma"
    settings: dict[str, Any]  # settings of the method, such as {"k": 2.0}
    n: int  # number of calibration samples
    false_alarm_rate: float | None = None  # expected on new normal samples; None if unknown

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return True for each score strictly above the threshold: (N,) -> (N,) bool.

        Raises a ValueError for NaN, because NaN > value is False and would count as normal.
        """
        if np.isnan(scores).any():
            raise ValueError("scores hold NaN, which is neither normal nor an anomaly")
        return np.asarray(scores) > self.value

    def params(self) -> dict[str, str]:
        """Return the method and its settings as MLflow params."""
        settings = {f"threshold_{key}": str(value) for key, value in self.settings.items()}
        return {"threshold_method": self.method, **settings}

    def write(self, path: Path) -> None:
        """Write the threshold as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Threshold":
        """Read a threshold from JSON.

        Raises a ValueError or TypeError if a field is missing or has the wrong type, or if a number
        is not finite. An infinite threshold would raise an alarm for all samples or for none.
        """
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")), path.name)

    @classmethod
    def from_dict(cls, content: dict[str, Any], name: str) -> "Threshold":
        """Return the threshold with these fields; raises as `read`, with the name of the file."""
        threshold = cls(**content)
        types: dict[str, Any] = {"method": str, "settings": dict, "n": int}
        wrong = [name for name, kind in types.items() if type(getattr(threshold, name)) is not kind]
        wrong += [] if _is_number(threshold.value) else ["value"]
        if not (threshold.false_alarm_rate is None or _is_number(threshold.false_alarm_rate)):
            wrong.append("false_alarm_rate")
        if wrong:
            raise ValueError(f"{wrong[0]} of {name} is {getattr(threshold, wrong[0])!r:.40}")
        return threshold


def check_alarm_rule(top: int | None, false_discovery_rate: float | None) -> None:
    """Raise a UserError unless at most one of the two replaces the threshold, with a valid value.

    `top` raises an alarm for that many highest scores.
    """
    if top is not None and false_discovery_rate is not None:
        raise UserError("top and false_discovery_rate exclude each other; omit one of them.")
    if top is not None and top < 1:
        raise UserError(f"top is {top}, but must be at least 1.")
    if false_discovery_rate is not None and not 0 < false_discovery_rate < 1:
        raise UserError(
            f"false_discovery_rate is {false_discovery_rate}, but must be between 0 and 1."
        )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and np.isfinite(float(value))
