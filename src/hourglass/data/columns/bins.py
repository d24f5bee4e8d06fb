"""Counts of a column's values: levels, or quantile bins of numbers and dates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from hourglass.data.columns.column import Column

BINS = 10  # of numbers and dates, by quantiles


@dataclass(frozen=True)
class ColumnBins:
    """The bins of a column's codes, and the number of cells in each, of a reference sample.

    The bins of numbers and dates are between quantiles of the reference, those of other columns are
    levels. The first and the last bin hold values beyond the reference, or a category's "other".
    One more bin, after them, holds missing cells.
    """

    edges: np.ndarray  # (E,) bin i holds codes from edges[i - 1] to below edges[i]
    counts: np.ndarray  # (E + 2,)

    @classmethod
    def fit(cls, codes: np.ndarray, column: Column) -> Self:
        """Return the bins of codes, (N,), and their counts."""
        known = codes[~np.isnan(codes)]
        if column.kind in ("numeric", "datetime"):
            quantiles = np.linspace(0, 1, BINS + 1)
            edges = np.unique(np.quantile(known, quantiles)) if len(known) else np.zeros(1)
            # The largest value belongs to the last but one bin.
            with np.errstate(over="ignore"):
                edges = np.append(edges[:-1], np.nextafter(edges[-1], np.inf))
        else:
            levels = 2 if column.kind == "boolean" else len(column.levels) + 1
            edges = np.arange(1.0, levels)
        return cls(edges, count(codes, edges))

    def places(self, codes: np.ndarray) -> np.ndarray:
        """Return the bin of each code, (N,)."""
        return places(codes, self.edges)

    def count(self, codes: np.ndarray) -> np.ndarray:
        """Return the number of codes in each bin, (E + 2,)."""
        return count(codes, self.edges)


def places(codes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each code, (N,)."""
    found = np.searchsorted(edges, codes, "right")
    return np.where(np.isnan(codes), len(edges) + 1, found)


def count(codes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the number of codes in each bin, (E + 2,)."""
    return np.bincount(places(codes, edges), minlength=len(edges) + 2)


def bins_to_arrays(columns: Sequence[ColumnBins]) -> dict[str, np.ndarray]:
    """Return the bins of all columns as arrays by name, {} without columns."""
    if not columns:
        return {}
    return {
        "column_edges": np.concatenate([bins.edges for bins in columns]),
        "column_counts": np.concatenate([bins.counts for bins in columns]),
        "columns": np.array([len(bins.edges) for bins in columns]),
    }


def bins_of_arrays(arrays: Mapping[str, np.ndarray]) -> tuple[ColumnBins, ...]:
    """Return the bins from `bins_to_arrays`; raise a ValueError if the arrays do not fit."""
    if "columns" not in arrays:
        return ()
    edges, counts, sizes = (arrays[name] for name in ("column_edges", "column_counts", "columns"))
    fits = sizes.ndim == edges.ndim == counts.ndim == 1 and {"i"} == {
        counts.dtype.kind,
        sizes.dtype.kind,
    }
    if not (fits and edges.dtype == np.float64 and (sizes >= 0).all() and (counts >= 0).all()):
        raise ValueError("the bins of the columns hold unusable numbers")
    if sizes.sum() != len(edges) or (sizes + 2).sum() != len(counts):
        raise ValueError("the bins of the columns do not fit")
    parts = np.split(edges, np.cumsum(sizes)[:-1]), np.split(counts, np.cumsum(sizes + 2)[:-1])
    return tuple(ColumnBins(*pair) for pair in zip(*parts, strict=True))
