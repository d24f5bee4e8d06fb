"""From scores of windows to scores of rows: each row of a time series lies in several windows."""

from typing import Literal, get_args

import numpy as np

from hourglass.core.errors import UserError

How = Literal["mean", "max", "median"]
MAX_VALUES = 10_000_000  # values held at once for medians


def rows_from_windows(
    values: np.ndarray, starts: np.ndarray, rows: int, how: How = "mean"
) -> np.ndarray:
    """Return the mean, maximum or median of the values of all windows that cover a row, (rows,).

    `values` holds a value for each step of each window, (m, W); a score of a whole window counts
    for all of its steps, as np.broadcast_to(scores[:, None], (m, W)). `starts` is the first row of
    each window, (m,), in any order. Rows at the edges of a series lie in fewer windows than others;
    rows in no window are NaN. Time and, except for medians, memory do not grow beyond m x W.

    Raises a UserError for another `how`, a ValueError if a window starts twice or exceeds the rows.
    """
    if how not in get_args(How):
        raise UserError(f"how is {how!r}, but must be 'mean', 'max' or 'median'.")
    windows, length = values.shape
    order = np.argsort(starts)
    starts, values = np.asarray(starts)[order], values[order]
    if (np.diff(starts) == 0).any():
        raise ValueError("two windows have the same start")
    if windows and (starts[0] < 0 or starts[-1] + length > rows):
        raise ValueError(f"windows of {length} rows exceed the {rows} rows of the series")
    if how == "median":
        return _medians(values, starts, rows)
    totals = np.full(rows, 0.0 if how == "mean" else -np.inf)
    counts = np.zeros(rows, int)
    for step in range(length):  # starts are distinct, so a step has at most one value per row
        covered = starts + step
        counts[covered] += 1
        if how == "mean":
            totals[covered] += values[:, step]
        else:
            totals[covered] = np.maximum(totals[covered], values[:, step])
    means = totals / np.maximum(counts, 1) if how == "mean" else totals
    return np.where(counts > 0, means, np.nan)


def _medians(values: np.ndarray, starts: np.ndarray, rows: int) -> np.ndarray:
    """Return the median per row; `starts` rise."""
    length = values.shape[1]
    medians = np.full(rows, np.nan)
    chunk = max(1, MAX_VALUES // length)
    for begin in range(0, rows, chunk):
        end = min(begin + chunk, rows)
        grid = np.full((end - begin, length), np.nan)
        near = slice(*np.searchsorted(starts, [begin - length + 1, end]))
        for step in range(length):
            covered = starts[near] + step - begin
            inside = (covered >= 0) & (covered < len(grid))
            grid[covered[inside], step] = values[near, step][inside]
        known = ~np.isnan(grid).all(1)
        medians[begin:end][known] = np.nanmedian(grid[known], 1)
    return medians
