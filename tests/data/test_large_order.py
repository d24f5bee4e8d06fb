"""Sorting and counting in parts: the results of NumPy's functions, in bounded memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hourglass.data import large_arrays
from hourglass.data.copies import keep_together
from hourglass.data.large_arrays import new_array, true_rows
from hourglass.data.large_order import counts, occurring, ranks, stable_order
from hourglass.data.prepare import split_samples
from hourglass.data.table import Table

RNG = np.random.default_rng(0)
NUMBERS = RNG.integers(0, 60, 500)


@pytest.fixture(params=["memory", "file"], autouse=True)
def place(request, monkeypatch, tmp_path):
    """Keep arrays in memory, or put every array into a file; work in several parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(large_arrays, "CHUNK_BYTES", 100)
    if request.param == "file":
        monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 10)


@pytest.mark.parametrize("values", [RNG.normal(size=500), NUMBERS, NUMBERS / 7, np.zeros(0)])
def test_ranks_are_the_least_ones_of_equal_values(values):
    expected = pd.Series(values).rank(method="min").to_numpy() - 1
    np.testing.assert_array_equal(ranks(values), expected)


def test_numbers_are_counted():
    np.testing.assert_array_equal(counts(NUMBERS, 70), np.bincount(NUMBERS, minlength=70))
    rows = RNG.permutation(500)[:20]
    expected = np.isin(np.arange(70), NUMBERS[rows])
    np.testing.assert_array_equal(occurring(NUMBERS, rows, 70), expected)


def test_the_order_is_stable():
    np.testing.assert_array_equal(stable_order(NUMBERS, 70), np.argsort(NUMBERS, kind="stable"))


def test_true_rows_are_found():
    mask = new_array((500,), bool)
    mask[:] = NUMBERS < 20
    np.testing.assert_array_equal(true_rows(mask), np.flatnonzero(NUMBERS < 20))


@pytest.mark.parametrize("seed", range(5))
def test_copies_move_to_the_first_one_and_bounds_to_the_nearest_end(seed):
    rng = np.random.default_rng(seed)
    copies = rng.integers(0, 200, 300)
    copies[rng.random(300) < 0.2] = 7  # more than half of the smallest part
    order = rng.permutation(300)[:250]
    bounds = np.array([0, 120, 160, 250])
    found, moved = keep_together(order, copies, bounds)
    groups = [[row] if copies[row] == 7 else order[copies[order] == copies[row]] for row in order]
    expected, ends = list[int](), [0]
    for row, group in zip(order, groups, strict=True):
        if row == group[0]:
            expected += list(group)
            ends.append(len(expected))
    assert found.tolist() == expected
    for bound, end in zip(bounds, moved, strict=True):
        assert end in ends
        assert abs(end - bound) == min(abs(other - bound) for other in ends)


def test_memory_hardly_grows_with_the_rows(monkeypatch, tmp_path):
    """NumPy's and Python's memory; that of Arrow's batches does not depend on this code."""
    monkeypatch.setattr(large_arrays, "CHUNK_BYTES", 40_000)
    monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 40_000)
    monkeypatch.setattr("hourglass.data.copies.BYTES_AT_ONCE", 40_000)
    monkeypatch.setattr("hourglass.data.inferred_table.MAX_CACHED_BYTES", 10)
    monkeypatch.setattr("hourglass.data.prepare.MAX_FITTED_BYTES", 40_000)
    peaks = []
    for rows in (100_000, 300_000):  # a batch of the smaller one is complete
        x = RNG.normal(size=(rows, 2)).round(2)
        frame = pd.DataFrame(x, columns=["a", "b"])
        frame["state"] = np.where(x[:, 0] > 1, "fault", "ok")
        frame["key"] = [f"key {row}" for row in range(rows)]
        frame.to_parquet("table.parquet")
        table = Table("table.parquet", label="state", normal="ok", id="key")
        tracemalloc.start()
        split_samples(table, tmp_path, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2 * 200_000  # bytes
