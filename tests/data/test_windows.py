"""Windows of series: they cover every row, cross no gap, and see rows in the order of time."""

import numpy as np
import pytest

from hourglass.core.errors import UserError
from hourglass.data.windows import check_regular, find_step, find_windows
from tests.data.series_rows import STEP, series_rows

LENGTHS = pytest.mark.parametrize(("window", "stride"), [(2, 1), (8, 1), (8, 3), (30, 7)])
MAX_GAP = 3.0


def windows_of(rows, window, stride=1, entities=3, seed=0):
    x, _ = series_rows(rows, entities=entities, seed=seed)
    return x, find_windows(x[:, 1], x[:, 0], STEP, MAX_GAP, window, stride)


@LENGTHS
def test_every_row_is_covered(window, stride):
    _, windows = windows_of(300, window, stride)
    covered = np.unique(windows.starts[:, None] + np.arange(window))
    assert set(windows.step_of_row) <= set(covered)


@LENGTHS
def test_no_window_crosses_a_gap_or_an_entity(window, stride):
    x, windows = windows_of(300, window, stride)
    for start in windows.starts:
        rows = windows.row_of_step[start : start + window]
        assert len(set(x[rows, 0])) == 1
        steps = np.diff(x[rows, 1]) / STEP
        assert (steps > -0.5).all()
        assert (np.rint(steps) <= MAX_GAP).all()


def test_rows_lie_on_the_steps_of_their_times():
    time = np.array([0.0, 10, 21, 49, 59])  # 3 steps from 21 to 49
    windows = find_windows(time, None, STEP, MAX_GAP, window=2)
    assert windows.step_of_row.tolist() == [0, 1, 2, 5, 6]
    assert windows.row_of_step.tolist() == [0, 1, 2, 2, 2, 3, 4]
    assert windows.bounds.tolist() == [0, 7]


def test_a_short_run_repeats_its_first_row():
    windows = find_windows(np.array([0.0, 10, 1000, 1010, 1020]), None, STEP, MAX_GAP, window=3)
    assert windows.row_of_step.tolist() == [0, 0, 1, 2, 3, 4]
    assert windows.step_of_row.tolist() == [1, 2, 3, 4, 5]
    assert windows.starts.tolist() == [0, 3]


def test_descending_times_are_reversed():
    time = np.arange(40.0)[::-1] * STEP
    windows = find_windows(time, None, STEP, MAX_GAP, window=4)
    assert windows.row_of_step.tolist() == list(range(39, -1, -1))


def test_unknown_times_follow_each_other():
    windows = find_windows(np.full(5, np.nan), None, STEP, MAX_GAP, window=2)
    assert windows.row_of_step.tolist() == [0, 1, 2, 3, 4]
    assert windows.starts.tolist() == [0, 1, 2, 3]


def test_no_rows_have_no_windows():
    windows = find_windows(np.zeros(0), None, STEP, MAX_GAP, window=2)
    assert len(windows.starts) == len(windows.step_of_row) == 0


def test_the_step_is_the_median_difference_within_entities():
    x, _ = series_rows(300, entities=3)
    assert find_step(x[:, 1], x[:, 0]) == pytest.approx(STEP, rel=0.2)
    assert find_step(np.full(4, np.nan), None) == 1.0


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (np.repeat(np.arange(50.0), 2), "share a step"),  # two sensors that alternate
        (np.arange(100.0) * 2, "have no row"),
        (np.arange(100.0) * 100, "have no row"),  # every row is a run of its own
    ],
)
def test_rows_that_fit_no_steps_are_refused(time, words):
    windows = find_windows(time, None, 1.0, MAX_GAP, window=8)
    with pytest.raises(UserError, match=words):
        check_regular(windows, 1.0, "a.csv")
