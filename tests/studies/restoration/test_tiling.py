import numpy as np
import pytest

from hourglass.studies.restoration.tiling import raised_cosine, starts, tiled

WINDOWS = pytest.mark.parametrize("window", [(4, 4), (5, 3), (1, 2)])
SIZES = pytest.mark.parametrize("size", [(5, 4), (16, 16), (17, 9)])


@WINDOWS
@SIZES
def test_what_is_left_as_it_is_comes_out_as_it_was(window, size):
    x = np.random.default_rng(0).random((3, *size)).astype(np.float32)
    np.testing.assert_allclose(tiled(x, window, lambda windows: windows), x, rtol=1e-6)


@pytest.mark.parametrize(("length", "window"), [(16, 16), (17, 16), (100, 16), (7, 1), (8, 3)])
def test_windows_reach_both_ends_and_overlap(length, window):
    found = starts(length, window)
    assert found[0] == 0
    assert found[-1] == length - window
    steps = np.diff(found)
    assert (steps > 0).all()
    assert steps.max(initial=0) <= max(1, window // 2)


@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_every_place_of_a_window_has_a_weight(length):
    weights = raised_cosine(length)
    assert len(weights) == length
    assert (weights > 0).all()
    assert np.array_equal(weights, weights[::-1])


def test_windows_that_disagree_leave_no_seam():
    rng = np.random.default_rng(0)
    found = tiled(
        np.zeros((1, 64, 64), np.float32), (16, 16), lambda w: w + rng.random((len(w), 1, 1, 1))
    )
    steps = [np.abs(np.diff(found, axis=axis)).max() for axis in (1, 2)]
    assert found.max() - found.min() > 0.5
    assert max(steps) < 0.25


def test_windows_are_those_of_the_image():
    x = np.arange(36, dtype=np.float32).reshape(1, 6, 6)
    seen: list[np.ndarray] = []
    tiled(x, (4, 4), lambda windows: seen.extend(windows) or windows)
    assert [float(each[0, 0, 0]) for each in seen] == [0, 2, 12, 14]
