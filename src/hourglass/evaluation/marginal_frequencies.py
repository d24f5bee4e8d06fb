"""A baseline for tables: how rare the value of each column is, by itself."""

from collections.abc import Callable, Sequence

import numpy as np

from hourglass.data.columns import Column

BINS = 10  # of numbers and dates, by quantiles


def marginal_frequencies(
    train: np.ndarray, columns: Sequence[Column]
) -> Callable[[np.ndarray], np.ndarray]:
    """Score rows by the sum of negative logarithms of the frequencies of their values.

    `train` and the rows to score are codes, (N, C). A level of a category or a boolean has its
    frequency in `train`, with one added to each count, and so has a missing cell. Numbers and dates
    are counted in BINS quantile bins; values outside of the range of `train` are in bins of their
    own. The score ignores all dependencies between columns.
    """
    tables = [_Marginal(train[:, i], column) for i, column in enumerate(columns)]

    def score(x: np.ndarray) -> np.ndarray:
        return np.sum([table(x[:, i]) for i, table in enumerate(tables)], axis=0)

    return score


class _Marginal:
    """The negative logarithm of the frequency of a cell's value, by its place among bins."""

    def __init__(self, codes: np.ndarray, column: Column) -> None:
        known = codes[~np.isnan(codes)]
        if column.kind in ("numeric", "datetime"):
            quantiles = np.linspace(0, 1, BINS + 1)
            edges = np.unique(np.quantile(known, quantiles)) if len(known) else np.zeros(1)
            # The largest value belongs to the last bin.
            self.edges = np.append(edges[:-1], np.nextafter(edges[-1], np.inf))
        else:
            levels = 2 if column.kind == "boolean" else len(column.levels) + 1
            self.edges = np.arange(1, levels)
        counts = np.bincount(self._places(codes), minlength=len(self.edges) + 2) + 1.0
        self.surprise = -np.log(counts / counts.sum())

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        surprise: np.ndarray = self.surprise[self._places(codes)]
        return surprise

    def _places(self, codes: np.ndarray) -> np.ndarray:
        """Return the bin of each cell; the last one is of missing cells."""
        places = np.searchsorted(self.edges, codes, "right")
        return np.where(np.isnan(codes), len(self.edges) + 1, places)
