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


@pytest.mark.parametrize(("side", "window"), [(3, 3), (4, 3), (6, 5), (7, 7), (9, 7)])
def test_ssim_is_the_mean_over_images_and_channels_with_an_odd_window_that_fits(side, window):
    clean, noisy = (x[..., :side, :side] for x in (CLEAN, NOISY))
    pairs = zip(clean.reshape(-1, side, side), noisy.reshape(-1, side, side), strict=True)
    values = [structural_similarity(*pair, data_range=1, win_size=window) for pair in pairs]
    assert ssim(clean, noisy) == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize("quality", [psnr, ssim])
def test_pixels_beyond_black_and_white_are_clipped(quality):
    wild = CLEAN + 3 * (NOISY - CLEAN)
    assert quality(CLEAN, wild) == quality(CLEAN, np.clip(wild, 0, 1))


def test_a_perfect_copy_has_no_error():
    assert psnr(CLEAN, CLEAN) == math.inf
    assert ssim(CLEAN, CLEAN) == pytest.approx(1)
