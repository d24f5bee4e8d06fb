"""Windows of a series: where they start, and the rows that they cover.

The rows of a series are samples, as in any table. A network sees windows of consecutive steps. This
module finds the runs of consecutive rows: a run ends where the entity changes, where time goes
backwards, and at a gap. Rows are placed on the regular steps of their run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.large_arrays import new_indices
from hourglass.data.large_order import stable_order

MAX_HELD_SHARE = 0.2  # of steps without a row of their own, or of rows that share a step


@dataclass(frozen=True)
class Windows:
    """The steps of a series, and the windows over them.

    `row_of_step` (G,) is the row that gives the values of each step; a step without a row repeats
    the row before it. `step_of_row` (T,) is the step of each row. `bounds` (runs + 1,) are the
    first steps of the runs, which follow each other, and G. A run that is shorter than a window
    repeats its first row at the beginning.
    """

    row_of_step: np.ndarray
    step_of_row: np.ndarray
    bounds: np.ndarray
    window: int
    stride: int

    @property
    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the first step of each run and of what follows it; at least `window` apart."""
        return pairwise(self.bounds.tolist())

    @cached_property
    def starts(self) -> np.ndarray:
        """The first steps of all windows, (n,) int64: every `stride` steps, and each run's last."""
        starts = [self.starts_in(first, stop) for first, stop in self.runs]
        return np.concatenate([np.zeros(0, np.int64), *starts])

    @property
    def order(self) -> np.ndarray:
        """The rows in the order of their steps, (T,); of rows that share one, as in the file."""
        return stable_order(self.step_of_row, int(self.bounds[-1]))

    def rows_at(self, starts: np.ndarray) -> np.ndarray:
        """Return the rows of the windows that start at steps, (n,): (n, window)."""
        return self.row_of_step[starts[:, None] + np.arange(self.window)]

    def starts_in(self, first: int, stop: int) -> np.ndarray:
        """Return the first steps of the windows in a run, in order; they cover all of its steps."""
        return first + window_starts(stop - first, self.window, self.stride)


def window_starts(length: int, window: int, stride: int) -> np.ndarray:
    """Return the starts of windows, ascending: every `stride`, and the last that ends at `length`.

    They cover all of the length, which is at least a window.
    """
    last = length - window
    return np.union1d(np.arange(0, last + 1, stride), [last])


def find_windows(
    time: np.ndarray,
    entity: np.ndarray | None,
    step: float,
    max_gap: float,
    window: int,
    stride: int = 1,
) -> Windows:
    """Return the windows of rows in file order, with their times, (T,), and entities, (T,).

    NaN is an unknown time: the row follows the one before it by one `step`. More than `max_gap`
    steps between two rows end a run. Rows of one entity need not follow each other. Their times may
    also descend, as in a file with the newest row first.
    """
    order = row_order(time, entity)
    steps = np.diff(time[order])
    np.rint(np.divide(steps, step, out=steps), out=steps)
    ends = (steps < 0) | (steps > max_gap)
    steps[np.isnan(steps)] = 1
    if entity is not None:
        ends |= entity[order][1:] != entity[order][:-1]
    steps[ends] = 0
    first = np.flatnonzero(np.concatenate([np.ones(min(1, len(time)), bool), ends]))
    rows = np.diff([*first, len(time)])
    # The step of each row within its run; the runs follow each other, each as long as a window.
    most = int(len(time) * max(1, max_gap)) + window * (len(first) + 1)  # steps, or fewer
    within = new_indices(len(time), most)
    within[1:] = np.cumsum(steps, out=steps)
    del steps, ends
    before = within[first]
    lengths = within[first + rows - 1] - before + 1
    padding = np.maximum(window - lengths, 0)
    bounds = np.concatenate([[0], np.cumsum(lengths + padding)]).astype(np.int64)
    within += np.repeat(bounds[:-1] + padding - before, rows)
    # Each step takes the last row that is at or before it, or the first row of its run.
    row_of_step = new_indices(int(bounds[-1]), len(time))
    row_of_step[within] = np.arange(len(time))
    row_of_step[bounds[:-1]] = np.maximum(row_of_step[bounds[:-1]], first)
    np.maximum.accumulate(row_of_step, out=row_of_step)
    if isinstance(order, slice) and order.step == 1:
        return Windows(row_of_step, within, bounds, window, stride)
    in_file = np.arange(len(time))[order]
    step_of_row = new_indices(len(time), most)
    step_of_row[in_file] = within
    return Windows(in_file[row_of_step], step_of_row, bounds, window, stride)


def row_order(time: np.ndarray, entity: np.ndarray | None) -> slice | np.ndarray:
    """Return the order of the rows by entity, in file order, or in reverse if times descend."""
    order: slice | np.ndarray = slice(None, None, 1)
    if entity is not None:
        order = np.argsort(entity, kind="stable")
    differences = np.diff(time[order])
    if np.count_nonzero(differences < 0) > np.count_nonzero(differences > 0):
        return order[::-1].copy() if isinstance(order, np.ndarray) else slice(None, None, -1)
    return order


def find_step(time: np.ndarray, entity: np.ndarray | None) -> float:
    """Return the step between consecutive rows: the median difference of their times, or 1."""
    differences = np.abs(np.diff(time[row_order(time, entity)]))
    differences = differences[differences > 0]
    if not len(differences):
        return 1.0
    return float(np.median(differences))


def irregular_counts(windows: Windows) -> tuple[int, int]:
    """Return the number of rows that share a step with another one, and of steps without a row."""
    is_used = np.zeros(len(windows.row_of_step), bool)
    is_used[windows.step_of_row] = True
    used = int(is_used.sum())
    return len(windows.step_of_row) - used, len(is_used) - used


def is_regular(windows: Windows) -> bool:
    """Return whether the rows fit regular steps, and their runs are long enough."""
    shared, padded = irregular_counts(windows)
    rows, steps = len(windows.step_of_row), len(windows.row_of_step)
    return shared <= MAX_HELD_SHARE * rows and padded <= MAX_HELD_SHARE * steps


def check_regular(windows: Windows, step: float, source: object) -> None:
    """Raise a UserError unless `is_regular`."""
    if is_regular(windows):
        return
    shared, padded = irregular_counts(windows)
    rows, steps = len(windows.step_of_row), len(windows.row_of_step)
    if shared > MAX_HELD_SHARE * rows:
        raise UserError(
            f"{shared:,} of {rows:,} rows of {source} share a step of {step:g} s with another "
            "row; set a smaller `step`, or name the column of the `entity` if rows of several "
            "sources alternate."
        )
    raise UserError(
        f"{padded:,} of {steps:,} steps of {step:g} s have no row in {source}, as its times are "
        "irregular or its runs shorter than a window; set a larger `step`, a smaller `max_gap` or "
        "a smaller `window`."
    )
