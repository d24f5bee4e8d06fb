"""Blocks of a series: against a loop over the steps of each run."""

import numpy as np
import pytest

from hourglass.data.blocks import block_count, block_of_row, run_of_row
from hourglass.data.windows import Windows, find_windows
from hourglass.detection.block_scores import block_maxima

WINDOW = 5


def irregular(seed: int) -> Windows:
    """Return the windows of 400 rows of two entities, with gaps, held steps and short runs."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([1, 1, 1, 1, 2, 3, 4, 9, 30], 400)).astype(float)
    entity = rng.integers(2, size=400).astype(float)
    return find_windows(time, entity, 1.0, 8.0, WINDOW)


def naive_maxima(windows: Windows, scores: np.ndarray) -> list[float]:
    maxima = []
    for first, stop in windows.runs:
        starts = list(range(first, stop, WINDOW))
        if stop - starts[-1] < WINDOW and len(starts) > 1:
            starts.pop()
        for start, end in zip(starts, [*starts[1:], stop], strict=True):
            inside = [
                score
                for score, step in zip(scores, windows.step_of_row, strict=True)
                if start <= step < end
            ]
            if inside:
                maxima.append(max(inside))
    return maxima


@pytest.mark.parametrize("seed", range(5))
def test_block_maxima_are_those_of_a_loop(seed):
    windows, scores = irregular(seed), np.random.default_rng(seed).normal(size=400)
    expected = naive_maxima(windows, scores)
    assert block_maxima(scores, block_of_row(windows)).tolist() == expected
    assert block_count(windows) == len(expected) > 20


def test_rows_of_a_run_follow_each_other():
    windows = irregular(0)
    runs = run_of_row(windows)
    for i, (first, stop) in enumerate(windows.runs):
        inside = (windows.step_of_row >= first) & (windows.step_of_row < stop)
        np.testing.assert_array_equal(runs == i, inside)


@pytest.mark.parametrize(("rows", "blocks"), [(0, 0), (1, 1), (5, 1), (9, 1), (10, 2), (14, 2)])
def test_the_rest_of_a_run_joins_the_block_before_it(rows, blocks):
    assert block_count(find_windows(np.arange(float(rows)), None, 1.0, 3.0, WINDOW)) == blocks
