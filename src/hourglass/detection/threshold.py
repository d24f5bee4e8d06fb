"""Thresholds: the score above which a sample is an alarm, and how it was found."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.atomic import write_json


@dataclass(frozen=True)
class Threshold:
    """Say of scores whether they are alarms, and how that was decided."""

    value: float  # in the unit of the score
    method: str  # "k_sigma", "quantile", ...
    settings: dict[str, Any]  # of the method, such as {"k": 2.0}
    n: int  # calibration samples
    false_alarm_rate: float | None = None  # that the method expects of new normal samples, if any

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return True where a score is strictly above the threshold: (N,) -> (N,) bool.

        Raises a ValueError for NaN, which compares as normal and must not pass as such.
        """
        if np.isnan(scores).any():
            raise ValueError("scores hold NaN, which is neither normal nor an anomaly")
        return np.asarray(scores) > self.value

    def params(self) -> dict[str, str]:
        """Return what tells one calibration of a model from another, as MLflow params."""
        settings = {f"threshold_{key}": str(value) for key, value in self.settings.items()}
        return {"threshold_method": self.method, **settings}

    def write(self, path: Path) -> None:
        """Write the threshold as JSON, beside the weights and never inside them."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Threshold":
        """Return the threshold that `write` wrote; a ValueError or TypeError where it wrote none.

        A value that is no number would alarm at nothing, or at everything.
        """
        found = cls(**json.loads(path.read_text(encoding="utf-8")))
        kinds: dict[str, Any] = {"method": str, "settings": dict, "n": int}
        wrong = [name for name, kind in kinds.items() if type(getattr(found, name)) is not kind]
        wrong += [] if _is_number(found.value) else ["value"]
        if not (found.false_alarm_rate is None or _is_number(found.false_alarm_rate)):
            wrong.append("false_alarm_rate")
        if wrong:
            raise ValueError(f"{wrong[0]} of {path.name} is {getattr(found, wrong[0])!r:.40}")
        return found


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and np.isfinite(float(value))
