"""Quality of restored images: PSNR and SSIM, with pixels clipped to [0, 1]."""

import math

import numpy as np
from skimage.metrics import structural_similarity

SSIM_WINDOW_PIXELS = 7  # side of the window; smaller for smaller images


def psnr(clean: np.ndarray, restored: np.ndarray) -> float:
    """Return the PSNR over all images (N, C, H, W), in dB: -10 log10 of the mean squared error.

    The peak is 1. A perfect copy has an infinite PSNR.
    """
    clean, restored = _clip(clean), _clip(restored)
    error = float(np.square(restored - clean).mean())
    return -10 * math.log10(error) if error else math.inf


def ssim(clean: np.ndarray, restored: np.ndarray) -> float:
    """Return the mean structural similarity of images (N, C, H, W), at most 1.

    It is computed by scikit-image, per channel, over square windows (Wang et al. 2004).
    """
    side = min(SSIM_WINDOW_PIXELS, *clean.shape[2:])
    window = side - 1 + side % 2  # the largest odd window that fits
    pairs = zip(_clip(clean), _clip(restored), strict=True)
    similarities = [
        structural_similarity(one, other, win_size=window, data_range=1, channel_axis=0)
        for one, other in pairs
    ]
    return float(np.mean(similarities))


def _clip(x: np.ndarray) -> np.ndarray:
    return np.clip(x.astype(np.float64), 0, 1)
