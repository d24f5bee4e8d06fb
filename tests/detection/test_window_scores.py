"""Scores of rows from those of windows, against a loop over rows and windows."""

import numpy as np
import pytest

from hourglass.core.errors import UserError
from hourglass.detection import window_scores
from hourglass.detection.window_scores import rows_from_windows

HOW = {"mean": np.mean, "max": np.max, "median": np.median}


def loop(values: np.ndarray, starts: np.ndarray, rows: int, how: str) -> list[float]:
    """Return the same as `rows_from_windows`, from a list of values per row."""
    collected: list[list[float]] = [[] for _ in range(rows)]
    for window, start in zip(values, starts, strict=True):
        for step, value in enumerate(window):
            collected[start + step].append(value)
    return [float(HOW[how](of_row)) if of_row else np.nan for of_row in collected]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("rows", "length", "stride"), [(50, 7, 1), (50, 7, 3), (20, 20, 1)])
def test_rows_agree_with_a_loop(how, rows, length, stride, monkeypatch):
    rng = np.random.default_rng(0)
    starts = rng.permutation(np.arange(0, rows - length + 1, stride))
    values = rng.normal(size=(len(starts), length))
    expected = loop(values, starts, rows, how)
    np.testing.assert_allclose(rows_from_windows(values, starts, rows, how), expected)
    monkeypatch.setattr(window_scores, "MAX_VALUES", 5 * length)  # several chunks
    np.testing.assert_allclose(rows_from_windows(values, starts, rows, how), expected)


@pytest.mark.parametrize("how", HOW)
def test_edges_and_gaps_between_segments(how):
    # Windows of 3 rows in two segments, rows 0-4 and 6-8; no window covers row 5.
    starts = np.array([0, 1, 2, 6])
    values = np.broadcast_to(np.arange(4.0)[:, None], (4, 3))  # a score per window
    result = rows_from_windows(values, starts, 9, how)
    np.testing.assert_allclose(result, loop(values, starts, 9, how))
    np.testing.assert_array_equal(np.isnan(result), np.arange(9) == 5)
    assert result[0] == 0
    assert result[8] == 3


def test_bad_arguments_raise():
    values = np.zeros((2, 3))
    with pytest.raises(UserError, match="how is 'sum', but must be"):
        rows_from_windows(values, np.array([0, 1]), 5, "sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the same start"):
        rows_from_windows(values, np.array([1, 1]), 5)
    with pytest.raises(ValueError, match="exceed the 5 rows"):
        rows_from_windows(values, np.array([0, 3]), 5)
