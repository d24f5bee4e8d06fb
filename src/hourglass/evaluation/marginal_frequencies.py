"""A baseline for tables: how rare the value of each column is, by itself."""

from collections.abc import Callable

import numpy as np

from hourglass.data.columns.bins import ColumnBins
from hourglass.data.prepared_data import Prepared


def marginal_frequencies(prepared: Prepared) -> Callable[[np.ndarray], np.ndarray]:
    """Score rows by the sum of negative logarithms of the frequencies of their values.

    The rows are codes, (N, C). A level of a category or a boolean has its frequency in the train
    split, with one added to each count, and so has a missing cell. Numbers and dates are counted in
    quantile bins; values outside of the range of the train split are in bins of their own. The
    score ignores all dependencies between columns.
    """
    train = np.asarray(prepared.x("train"))
    bins = [ColumnBins.fit(train[:, i], column) for i, column in enumerate(prepared.columns)]
    surprises = [-np.log((each.counts + 1) / (each.counts + 1).sum()) for each in bins]

    def score(x: np.ndarray) -> np.ndarray:
        pairs = enumerate(zip(bins, surprises, strict=True))
        return np.sum([surprise[each.places(x[:, i])] for i, (each, surprise) in pairs], axis=0)

    return score
