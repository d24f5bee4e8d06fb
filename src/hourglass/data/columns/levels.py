"""Levels of categories: those that are frequent in the train split; others are "other"."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hourglass.data.columns.column import Column
from hourglass.data.large_arrays import new_array, parts
from hourglass.data.streaming import release_pages


def keep_train_levels(
    columns: Sequence[Column], x: np.ndarray, train: np.ndarray
) -> tuple[Column, ...]:
    """Reduce the levels of categories to those frequent in the rows `train`; return the columns.

    A level of fewer than `rare_count` cells becomes "other". Levels are in the order of their
    frequency. The codes `x`, (N, C), of all rows are changed in place.
    """
    if not _categories(columns):
        return tuple(columns)
    is_train = new_array((len(x),), bool)
    for part in parts(train):
        is_train[train[part]] = True
    counts = {i: np.zeros(len(c.levels) + 1, int) for i, c in _categories(columns)}
    for rows in parts(x):
        for i, count in counts.items():
            found = x[rows, i][is_train[rows]]
            found = found[~np.isnan(found)].astype(int)
            count += np.bincount(found, minlength=len(count))
        release_pages(x)
    result, new_codes = list(columns), dict[int, np.ndarray]()
    for i, column in _categories(columns):
        count = counts[i][:-1]
        order = np.argsort(-count, kind="stable")
        kept = order[count[order] >= rare_count(len(train))]
        new_codes[i] = np.full(len(count) + 2, float(len(kept)))
        new_codes[i][kept], new_codes[i][-1] = np.arange(len(kept)), np.nan
        result[i] = replace(column, levels=tuple(column.levels[level] for level in kept))
    for rows in parts(x):
        for i, new in new_codes.items():
            x[rows, i] = new[np.nan_to_num(x[rows, i], nan=len(new) - 1).astype(int)]
        release_pages(x)
    return tuple(result)


def _categories(columns: Sequence[Column]) -> list[tuple[int, Column]]:
    return [(i, column) for i, column in enumerate(columns) if column.kind == "categorical"]


def rare_count(rows: int) -> int:
    """Return the number of cells below which a level of `rows` cells is rare."""
    return max(2, min(5, rows // 50))
