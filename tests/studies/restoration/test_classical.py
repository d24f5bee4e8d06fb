import numpy as np
import pytest
import torch
from skimage.restoration import denoise_nl_means, denoise_wavelet

from hourglass.studies.restoration import classical
from hourglass.studies.restoration.classical import METHODS
from hourglass.studies.restoration.quality import psnr
from hourglass.studies.restoration.tasks import TASKS, Problem
from tests.studies.restoration.conftest import smooth

NAMED = {task.name: task for task in TASKS}
OF = {method.name: method for method in METHODS}
GREY = smooth(3, (1, 14, 16)).astype(np.float32) / 255
COLOUR = smooth(3, (3, 14, 16)).astype(np.float32) / 255
DENOISERS = pytest.mark.parametrize("name", ["median filter", "non-local means", "wavelets"])


def noisy(clean: np.ndarray, level: float = 0.3, seed: int = 0) -> Problem:
    return NAMED["gaussian"].problem(clean, level, seed)


@pytest.mark.parametrize("clean", [GREY, COLOUR], ids=["grey", "colour"])
def test_non_local_means_are_those_of_scikit_image(clean):
    problem = noisy(clean)
    found = classical.nl_means(problem, patch=5, distance=3, strength=0.7)
    for image, mine in zip(problem.seen, found, strict=True):
        x, axis = (image[0], None) if len(image) == 1 else (image.transpose(1, 2, 0), -1)
        expected = denoise_nl_means(x, 5, 3, 0.7 * 0.3, sigma=0.3, channel_axis=axis)
        np.testing.assert_allclose(
            mine, expected[None] if axis is None else expected.transpose(2, 0, 1)
        )


def test_wavelets_are_those_of_scikit_image():
    problem = noisy(GREY)
    found = classical.wavelets(problem, "BayesShrink", "db2", 0.5)
    for image, mine in zip(problem.seen, found, strict=True):
        expected = denoise_wavelet(image[0], 0.15, "db2", method="BayesShrink")
        np.testing.assert_allclose(mine[0], expected, atol=1e-6)


def test_the_median_filter_takes_the_median_of_each_window():
    problem = noisy(COLOUR)
    found = classical.median(problem, window=3)
    windows = np.lib.stride_tricks.sliding_window_view(problem.seen, (3, 3), (2, 3))
    np.testing.assert_allclose(found[:, :, 1:-1, 1:-1], np.median(windows, (4, 5)))


def test_bicubic_is_that_of_torch():
    problem = NAMED["downsampling"].problem(COLOUR, 2, 0)
    small = torch.from_numpy(COLOUR).unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    # With antialiasing torch has Pillow's kernel; without it another one.
    expected = torch.nn.functional.interpolate(small, (14, 16), mode="bicubic", antialias=True)
    np.testing.assert_allclose(classical.bicubic(problem), expected.numpy(), atol=1e-5)


def test_bicubic_restores_sides_that_do_not_divide():
    x = COLOUR[:, :, :13, :11]
    assert classical.bicubic(NAMED["downsampling"].problem(x, 2, 0)).shape == x.shape


@pytest.mark.parametrize(("name", "level"), [("masking", 0.5), ("block", 0.25)])
def test_a_plane_is_inpainted_as_it_was(name, level):
    rows, columns = np.mgrid[0:12, 0:10].astype(np.float32)
    plane = np.stack([0.2 + 0.02 * rows + 0.03 * columns, 0.8 - 0.03 * rows + 0.01 * columns])
    problem = NAMED[name].problem(plane[None].astype(np.float32), level, 3)
    assert problem.missing.any()
    inner = np.s_[..., 2:-2, 2:-2]  # at the edge the equation is another one
    np.testing.assert_allclose(
        classical.biharmonic(problem)[inner], problem.clean[inner], atol=0.02
    )


@DENOISERS
def test_the_settings_chosen_have_the_highest_psnr_on_validation_images(name):
    method, validation = OF[name], noisy(GREY)
    reached = [psnr(GREY, method.restore(validation, **each)) for each in method.settings]
    best = psnr(GREY, method.restore(validation, **method.chosen(validation)))
    assert best == max(reached) > min(reached)


@DENOISERS
def test_it_removes_noise(name):
    method, problem = OF[name], noisy(GREY, 0.3, seed=1)
    restored = method.restore(problem, **method.chosen(noisy(GREY, 0.3)))
    assert psnr(GREY, restored) > psnr(GREY, problem.seen) + 2


@DENOISERS
def test_where_there_is_no_noise_nothing_is_done(name):
    problem = noisy(GREY, 0.0)
    assert np.array_equal(OF[name].restore(problem, **OF[name].chosen(problem)), GREY)


def test_an_image_of_which_nothing_is_left_stays_as_it_is():
    missing = np.zeros(GREY.shape, bool)
    missing[0] = True
    problem = Problem("masking", 0.75, GREY, np.where(missing, 0, GREY), missing)
    assert np.array_equal(classical.biharmonic(problem), problem.seen)
