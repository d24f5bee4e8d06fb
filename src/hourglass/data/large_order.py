"""Sorting and counting of large arrays in bounded memory: results and tables may lie in files."""

import numpy as np

from hourglass.data.large_arrays import new_array, new_indices, parts
from hourglass.data.streaming import release_pages


def ranks(values: np.ndarray) -> np.ndarray:
    """Return for each value, (N,), the number of smaller ones; equal values have equal ranks."""
    ordered = new_array(values.shape, values.dtype)
    for part in parts(values):
        ordered[part] = values[part]
    ordered.sort()
    result = new_indices(len(values), len(values))
    for part in parts(values):
        order = np.argsort(values[part])  # neighbours in the search are then close in the file
        result[part][order] = np.searchsorted(ordered, values[part][order])
        release_pages(values)
    return result


def counts(numbers: np.ndarray, limit: int) -> np.ndarray:
    """Return how often each integer from 0 to below `limit` occurs in `numbers`, (N,)."""
    table = new_indices(limit, len(numbers) + 1)
    for part in parts(numbers):
        found, times = np.unique(numbers[part], return_counts=True)
        table[found] += times.astype(table.dtype)
    return table


def occurring(numbers: np.ndarray, rows: np.ndarray, limit: int) -> np.ndarray:
    """Return the mask, (limit,), of the integers that occur in `numbers[rows]`."""
    table = new_array((limit,), bool)
    for part in parts(rows):
        table[numbers[rows[part]]] = True
    return table


def stable_order(numbers: np.ndarray, limit: int) -> np.ndarray:
    """Return the stable order of integers from 0 to below `limit`: a counting sort of (N,)."""
    place = counts(numbers, limit)  # of the next occurrence of each number
    start = 0
    for part in parts(place):
        ends = start + np.cumsum(place[part], dtype=np.int64)
        place[part] = np.append(start, ends[:-1])
        start = int(ends[-1])
    result = new_indices(len(numbers), len(numbers))
    for part in parts(numbers):
        order = np.argsort(numbers[part], kind="stable")
        ordered = numbers[part][order]
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        times = np.diff(first, append=len(order))
        occurrence = np.arange(len(order)) - np.repeat(first, times)
        result[place[ordered] + occurrence] = part.start + order
        place[ordered[first]] += times.astype(place.dtype)
    return result
