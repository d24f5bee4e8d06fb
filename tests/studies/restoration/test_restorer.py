"""Restoration in overlapping windows."""

import numpy as np
import pytest

from hourglass.data.windows import window_starts
from hourglass.studies.restoration.restorer import tiled


@pytest.mark.parametrize("window", [(4, 4), (5, 3), (1, 2)])
@pytest.mark.parametrize("size", [(5, 4), (16, 16), (17, 9)])
def test_windows_that_are_not_changed_give_the_same_image(window, size):
    x = np.random.default_rng(0).random((3, *size)).astype(np.float32)
    np.testing.assert_allclose(tiled(x, window, lambda windows: windows), x, rtol=1e-6)


@pytest.mark.parametrize(("length", "window"), [(16, 16), (17, 16), (100, 16), (7, 1), (8, 3)])
def test_windows_reach_both_ends_and_overlap(length, window):
    starts = window_starts(length, window, max(1, window // 2))
    assert starts[0] == 0
    assert starts[-1] == length - window
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert steps.max(initial=0) <= max(1, window // 2)


def test_windows_that_disagree_leave_no_seam():
    rng, x = np.random.default_rng(0), np.zeros((1, 64, 64), np.float32)
    image = tiled(x, (16, 16), lambda windows: windows + rng.random((len(windows), 1, 1, 1)))
    steps = [np.abs(np.diff(image, axis=axis)).max() for axis in (1, 2)]
    assert np.ptp(image) > 0.5
    assert max(steps) < 0.25


def test_windows_are_crops_of_the_image():
    x = np.arange(36, dtype=np.float32).reshape(1, 6, 6)
    crops: list[np.ndarray] = []
    tiled(x, (4, 4), lambda windows: crops.extend(windows) or windows)
    assert [float(crop[0, 0, 0]) for crop in crops] == [0, 2, 12, 14]
