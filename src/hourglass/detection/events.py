"""Events: alarms of the rows of a series that belong together."""

from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.blocks import run_of_step
from hourglass.data.large_arrays import take_rows, true_rows
from hourglass.data.windows import Windows


@dataclass(frozen=True)
class Events:
    """Events in the order of the steps; rows are indices in the order of the file, (E,) each."""

    first: np.ndarray  # the row of the first alarm
    last: np.ndarray  # the row of the last alarm
    peak: np.ndarray  # the alarm with the highest score, the first one of equals
    rows: np.ndarray  # number of rows from the first to the last alarm
    alarms: np.ndarray  # number of rows with an alarm

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class EventRule:
    """Rules that merge alarms to events.

    An event ends when at least `cool_down` rows follow without an alarm, one window by default, or
    its run ends. Events of less than `min_length` rows, from the first to the last alarm, are
    dropped. Steps without a row count as rows of the cool-down.
    """

    min_length: int = 1
    cool_down: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}, but must be at least 1.")


def find_events(
    alarm: np.ndarray, scores: np.ndarray, windows: Windows, rule: EventRule = EventRule()
) -> Events:
    """Return the events of alarms, (T,) bool, with their scores, (T,)."""
    order = windows.order
    place = true_rows(take_rows(alarm, order))
    rows = order[place]
    gap = np.diff(windows.step_of_row[rows])
    ends = gap > (rule.cool_down or windows.window)
    ends |= np.diff(run_of_step(windows, windows.step_of_row[rows])) > 0
    first = np.flatnonzero(np.append(True, ends)[: len(rows)])
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    event = np.repeat(np.arange(len(first)), last - first + 1)
    ranked = np.lexsort((-scores[rows], event))  # stable
    length = place[last] - place[first] + 1
    kept = length >= rule.min_length
    found = (rows[first], rows[last], rows[ranked[first]], length, last - first + 1)
    return Events(*(values[kept] for values in found))
