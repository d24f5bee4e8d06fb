"""A budget of false alarms per day for time series."""

from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.calibrators.base import Calibrator
from hourglass.detection.calibrators.conformal import Conformal

DAY = 86_400.0  # seconds


class AlarmsPerDay(Calibrator):
    """Set the threshold so that normal data raise at most `alarms_per_day` alarms, as expected.

    An alarm is an event: alarms of rows that are at most a window apart count once. For time series
    only, whose calibration scores are the highest at which an event begins in each block of one
    window. The threshold is that of `Conformal`, with alpha = `alarms_per_day` times the length of
    a block in days: the expected share of new normal blocks in which an event begins is at most
    alpha, if the blocks are exchangeable, as on a stationary series whose scores depend on each
    other over less than a block. No two events begin in one block of a window, so there are at most
    `alarms_per_day`, as expected over the draw of the calibration data; a single detector may have
    more alarms.

    Times that are numbers, not dates, count as seconds.
    """

    method = "alarms_per_day"
    counts_events = True

    def __init__(self, alarms_per_day: float = 1.0) -> None:
        if not 0 < alarms_per_day < np.inf:
            raise UserError(f"alarms_per_day is {alarms_per_day}, but must be above 0, and finite.")
        self.alarms_per_day = alarms_per_day
        self._block_seconds: float | None = None

    def for_blocks(self, seconds: float) -> "AlarmsPerDay":
        """Return the calibrator for the values of blocks of a series, which last `seconds`."""
        calibrator = AlarmsPerDay(self.alarms_per_day)
        calibrator._block_seconds = seconds
        return calibrator

    @property
    def settings(self) -> dict[str, Any]:
        """Return the budget, and the rounded `alpha` of blocks if their duration is known."""
        settings = {"alarms_per_day": self.alarms_per_day}
        if self._block_seconds is not None:
            settings["alpha"] = float(f"{self._conformal.alpha:.4g}")
        return settings

    def value(self, scores: np.ndarray) -> float:
        """Return the threshold of `Conformal` for the values of blocks, (n,)."""
        return self._conformal.value(scores)

    def expected(self, scores: np.ndarray) -> float:
        """Return the expected share of normal blocks in which an event begins."""
        return self._conformal.expected(scores)

    @property
    def min_samples(self) -> int:
        """Return the smallest number of blocks for which there is a threshold."""
        return self._conformal.min_samples

    @property
    def _conformal(self) -> Conformal:
        if self._block_seconds is None:
            raise UserError(
                "alarms_per_day needs a time series, but these samples have no time step; use a "
                "data set of class hourglass.data.Series, or another calibrator, such as conformal."
            )
        days = self._block_seconds / DAY
        alpha = self.alarms_per_day * days
        if alpha >= 1:
            raise UserError(
                f"alarms_per_day is {self.alarms_per_day}, but a block of one window lasts "
                f"{days:.3g} days, so that each could raise an alarm; set it below "
                f"{1 / days:.3g}, or lower `window`."
            )
        return Conformal(alpha)
