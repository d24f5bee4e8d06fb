"""PSNR and SSIM, against scikit-image."""

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from hourglass.studies.restoration.quality import psnr, ssim

RNG = np.random.default_rng(0)
CLEAN = RNG.random((3, 3, 9, 11)).astype(np.float32)
NOISY = np.clip(CLEAN + RNG.normal(0, 0.2, CLEAN.shape), 0, 1).astype(np.float32)


def test_psnr_equals_that_of_scikit_image():
    assert psnr(CLEAN, NOISY) == pytest.approx(peak_signal_noise_ratio(CLEAN, NOISY, data_range=1))


def test_ssim_is_the_mean_over_images_and_channels_of_that_of_scikit_image():
    pairs = zip(CLEAN.reshape(-1, 9, 11), NOISY.reshape(-1, 9, 11), strict=True)
    values = [structural_similarity(one, other, data_range=1, win_size=7) for one, other in pairs]
    assert ssim(CLEAN, NOISY) == pytest.approx(np.mean(values), rel=1e-6)


@pytest.mark.parametrize(("side", "window"), [(3, 3), (4, 3), (6, 5), (7, 7), (12, 7)])
def test_the_window_of_ssim_is_odd_and_fits(side, window):
    one, other = (np.resize(x[:1, 0, :side, :side], (side, side)) for x in (CLEAN, NOISY))
    expected = structural_similarity(one, other, data_range=1, win_size=window)
    assert ssim(one[None, None], other[None, None]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("quality", [psnr, ssim])
def test_pixels_beyond_black_and_white_are_clipped(quality):
    wild = CLEAN + 3 * (NOISY - CLEAN)
    assert quality(CLEAN, wild) == quality(CLEAN, np.clip(wild, 0, 1))


def test_a_perfect_copy_has_no_error():
    assert psnr(CLEAN, CLEAN) == math.inf
    assert ssim(CLEAN, CLEAN) == pytest.approx(1)
