"""Thresholds: from the scores of normal samples to the score above which a sample is an alarm."""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.errors import Refusal
from hourglass.files import write_json


@dataclass(frozen=True)
class Threshold:
    """Say of scores whether they are alarms, and how that was decided."""

    value: float  # in the unit of the score
    method: str  # "k_sigma", "quantile", ...
    settings: dict[str, Any]  # of the method, such as {"k": 2.0}
    n: int  # calibration samples

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
        """Return the threshold that `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class Calibrator(ABC):
    """Choose a threshold from scores. A subclass's constructor takes its settings."""

    method: str

    def __call__(self, scores: np.ndarray) -> Threshold:
        """Return the threshold for the scores of normal samples, (n,).

        Raises a Refusal where there is none, or one is not finite.
        """
        scores = np.asarray(scores, np.float64)
        if not len(scores):
            raise Refusal(f"{self.method} was given no scores; the calibration split is empty.")
        if not np.isfinite(scores).all():
            raise Refusal(f"{self.method} was given a score that is not finite; train again.")
        value = float(self.value(scores))
        if not np.isfinite(value):
            raise Refusal(f"{self.method} with {vars(self)} gives {value}; choose other settings.")
        return Threshold(value, self.method, dict(vars(self)), len(scores))

    @abstractmethod
    def value(self, scores: np.ndarray) -> float:
        """Return the threshold's value for finite scores, (n,) float64."""


class KSigma(Calibrator):
    """Set the threshold `k` standard deviations above the mean score of normal samples.

    With k = 2 about 2.3 % false alarms, if scores were normally distributed; they are skewed to the
    right, so expect more.
    """

    method = "k_sigma"

    def __init__(self, k: float = 2.0) -> None:
        self.k = k

    def value(self, scores: np.ndarray) -> float:
        """Return mean + k * sd, the sd with n in the denominator."""
        return scores.mean() + self.k * scores.std()


class Quantile(Calibrator):
    """Set the threshold at the `q` quantile of normal scores: about 1 - q of them are alarms.

    Linear interpolation between order statistics. Raises a Refusal unless 0 < q < 1.
    """

    method = "quantile"

    def __init__(self, q: float = 0.95) -> None:
        if not 0 < q < 1:
            raise Refusal(f"q is {q}, but must be between 0 and 1.")
        self.q = q

    def value(self, scores: np.ndarray) -> float:
        """Return the quantile."""
        return np.quantile(scores, self.q)
