"""The calibrator interface: constructed from settings, then called with scores."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.threshold import Threshold


class Calibrator(ABC):
    """A method that selects a threshold from the scores of normal samples."""

    method: ClassVar[str]
    # Of a series, whether the scores are those at which an event begins in a block, instead of the
    # highest ones of blocks; see `detection.block_scores`.
    counts_events: ClassVar[bool] = False

    def __call__(self, scores: np.ndarray) -> Threshold:
        """Return the threshold for the scores of normal samples, (n,).

        Raises a UserError if there are no scores, or if a score is not finite.
        """
        scores = self._checked(scores)
        return self._threshold(self.value(scores), len(scores), self.expected(scores))

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that are recorded with a threshold."""
        return dict(vars(self))

    @property
    def min_samples(self) -> int:
        """Return the smallest number of normal samples for which there is a threshold."""
        return 1

    def for_blocks(self, seconds: float) -> "Calibrator":
        """Return the calibrator for the values of blocks of a series, which last `seconds`."""
        return self

    @abstractmethod
    def value(self, scores: np.ndarray) -> float:
        """Return the threshold's value for finite scores, (n,) float64."""

    def expected(self, scores: np.ndarray) -> float | None:
        """Return the false-alarm rate expected on new normal samples; None if unknown."""
        return None

    def _checked(self, scores: np.ndarray) -> np.ndarray:
        scores = np.asarray(scores, np.float64)
        if not len(scores):
            raise UserError(
                f"{self.method} has no scores, as its split is empty; raise the share of the split."
            )
        if not np.isfinite(scores).all():
            raise UserError(f"{self.method} got a score that is not finite; train again.")
        return scores

    def _threshold(self, value: float, n: int, expected: float | None) -> Threshold:
        if not np.isfinite(value):
            raise UserError(
                f"{self.method} with {self.settings} gives {value}; choose other settings."
            )
        rate = None if expected is None else float(expected)
        return Threshold(float(value), self.method, self.settings, n, rate)


def check_fraction(name: str, value: float) -> float:
    """Return a setting strictly between 0 and 1; raise a UserError for any other value."""
    if not 0 < value < 1:  # NaN compares as False, so it is rejected too
        raise UserError(f"{name} is {value}, but must be between 0 and 1.")
    return value
