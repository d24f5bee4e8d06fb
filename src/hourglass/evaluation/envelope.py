"""Envelopes of long series: the minimum and the maximum of the rows in columns of equal duration.

A plot has fewer columns of pixels than a long series has rows. The envelope keeps every peak, which
a mean or every n-th row would lose.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Columns of equal duration over a stretch of rows, centred at `start` + i x `width`.

    A column without a row repeats the one before it, except in a gap, where its values are NaN.
    """

    start: float
    width: float
    first: np.ndarray  # (m,) the first row of each column with rows, ascending
    source: np.ndarray  # (columns,) the number of the rows' column in `first`; -1 in a gap

    @classmethod
    def over(cls, time: np.ndarray, run: np.ndarray, columns: int, step: float) -> "Grid":
        """Return a grid of at most `columns` columns, two or more, each at least a `step` wide.

        `time` (T,) must ascend. A gap lies between rows of different runs, (T,).
        """
        start, span = float(time[0]), float(time[-1] - time[0])
        width = max(span / max(columns - 1, 1), step)
        column = np.rint((time - start) / width).astype(np.int64)
        first = np.flatnonzero(np.diff(column, prepend=-1))
        source = np.full(column[-1] + 1, -1)
        source[column[first]] = np.arange(len(first))
        before = np.maximum.accumulate(source)
        is_held = np.append(run[first[1:] - 1] == run[first[1:]], False)
        source = np.where((source < 0) & is_held[before], before, source)
        return cls(start, width, first, source)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.source)

    @property
    def time(self) -> np.ndarray:
        """Return the times at the centres of the columns."""
        return self.start + self.width * np.arange(len(self))

    def low_and_high(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the minimum and the maximum in each column of values, (T,), of which NaN is none.

        Infinite values are none, too, as they have no place on an axis.
        """
        ends = [end.reduceat(values, self.first) for end in (np.fmin, np.fmax)]
        if np.isinf(ends).any():
            known = np.where(np.isinf(values), np.nan, values)
            ends = [end.reduceat(known, self.first) for end in (np.fmin, np.fmax)]
        low, high = (np.append(end, np.nan)[self.source] for end in ends)
        return low, high

    def any(self, mask: np.ndarray) -> np.ndarray:
        """Return the columns with a True in a mask, (T,)."""
        found = np.logical_or.reduceat(mask, self.first)
        return np.append(found, False)[self.source]
