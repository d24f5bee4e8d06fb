"""Classical restoration, against scikit-image, torch and numpy."""

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_nl_means, denoise_wavelet

from hourglass.studies.restoration import classical
from hourglass.studies.restoration.classical import METHODS
from hourglass.studies.restoration.quality import psnr
from hourglass.studies.restoration.tasks import TASKS, Problem
from tests.studies.conftest import smooth

TASK = {task.name: task for task in TASKS}
METHOD = {method.name: method for method in METHODS}
GREY = smooth(3, (1, 14, 16)).astype(np.float32) / 255
COLOUR = smooth(3, (3, 14, 16)).astype(np.float32) / 255
DENOISERS = pytest.mark.parametrize("name", ["median filter", "non-local means", "wavelets"])


def noisy(clean: np.ndarray, level: float = 0.3, seed: int = 0) -> Problem:
    return TASK["gaussian"].problem(clean, level, seed)


@pytest.mark.parametrize("clean", [GREY, COLOUR], ids=["grey", "colour"])
def test_denoised_images_equal_those_of_scikit_image(clean):
    problem = noisy(clean)
    means = classical.nl_means(problem, patch=5, strength=0.7)
    shrunk = classical.wavelets(problem, "BayesShrink", "db2", 0.5)
    for image, mean, wavelet in zip(problem.corrupted, means, shrunk, strict=True):
        x, axis = (image[0], None) if len(image) == 1 else (image.transpose(1, 2, 0), -1)
        expected = denoise_nl_means(x, 5, 9, 0.7 * 0.3, sigma=0.3, channel_axis=axis)
        np.testing.assert_allclose(np.squeeze(mean.transpose(1, 2, 0)), expected)
        expected = denoise_wavelet(x, 0.15, "db2", method="BayesShrink", channel_axis=axis)
        np.testing.assert_allclose(np.squeeze(wavelet.transpose(1, 2, 0)), expected, atol=1e-6)


def test_the_median_filter_returns_the_median_of_each_window():
    problem = noisy(COLOUR)
    restored = classical.median(problem, window=3)
    windows = np.lib.stride_tricks.sliding_window_view(problem.corrupted, (3, 3), (2, 3))
    np.testing.assert_allclose(restored[:, :, 1:-1, 1:-1], np.median(windows, (4, 5)))


def test_bicubic_equals_that_of_torch_and_keeps_sides_that_do_not_divide():
    problem = TASK["downsampling"].problem(COLOUR, 2, 0)
    small = torch.from_numpy(COLOUR).unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    # With antialiasing torch has the same kernel as Pillow.
    expected = torch.nn.functional.interpolate(small, (14, 16), mode="bicubic", antialias=True)
    np.testing.assert_allclose(classical.bicubic(problem), expected.numpy(), atol=1e-5)
    odd = COLOUR[:, :, :13, :11]
    assert classical.bicubic(TASK["downsampling"].problem(odd, 2, 0)).shape == odd.shape


@pytest.mark.parametrize(("name", "level"), [("masking", 0.5), ("block", 0.25)])
def test_inpainting_restores_a_plane(name, level):
    rows, columns = np.mgrid[0:12, 0:10].astype(np.float32)
    plane = np.stack([0.2 + 0.02 * rows + 0.03 * columns, 0.8 - 0.03 * rows + 0.01 * columns])
    problem = TASK[name].problem(plane[None].astype(np.float32), level, 3)
    assert problem.missing.any()
    inner = np.s_[..., 2:-2, 2:-2]  # the equation differs at the edge
    np.testing.assert_allclose(
        classical.biharmonic(problem)[inner], problem.clean[inner], atol=0.02
    )


def test_inpainting_leaves_a_channel_without_pixels_unchanged():
    missing = np.zeros(GREY.shape, bool)
    missing[0] = True
    problem = Problem("masking", 0.75, GREY, np.where(missing, 0, GREY), missing)
    assert np.array_equal(classical.biharmonic(problem), problem.corrupted)


@DENOISERS
def test_the_selected_settings_have_the_highest_validation_psnr_and_remove_noise(name):
    method, validation, test = METHOD[name], noisy(GREY), noisy(GREY, 0.3, seed=1)
    selected = method.select_settings(validation)
    values = [psnr(GREY, method.restore(validation, **one)) for one in method.settings]
    assert psnr(GREY, method.restore(validation, **selected)) == max(values) > min(values)
    assert psnr(GREY, method.restore(test, **selected)) > psnr(GREY, test.corrupted) + 2


@DENOISERS
def test_images_without_noise_are_unchanged(name):
    problem, method = noisy(GREY, 0.0), METHOD[name]
    assert np.array_equal(method.restore(problem, **method.select_settings(problem)), GREY)
