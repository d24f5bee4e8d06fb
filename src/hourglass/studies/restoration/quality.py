"""How near restored images come to the clean ones. Both are clipped to [0, 1], black and white."""

import math

import numpy as np
from skimage.metrics import structural_similarity

WINDOW = 7  # pixels a side, over which SSIM compares; smaller images have smaller ones


def psnr(clean: np.ndarray, restored: np.ndarray) -> float:
    """Return -10 log10 of the mean squared error over all images (N, C, H, W), in dB.

    The peak is 1. That of a perfect copy is infinite.
    """
    clean, restored = _clipped(clean), _clipped(restored)
    error = float(np.square(restored - clean).mean())
    return -10 * math.log10(error) if error else math.inf


def ssim(clean: np.ndarray, restored: np.ndarray) -> float:
    """Return the mean structural similarity of images (N, C, H, W), at most 1.

    Wang et al. 2004, over square windows and channel by channel, as scikit-image has it.
    """
    side = min(WINDOW, *clean.shape[2:])
    window = side - 1 + side % 2  # the largest odd one
    pairs = zip(_clipped(clean), _clipped(restored), strict=True)
    found = [
        structural_similarity(one, other, win_size=window, data_range=1, channel_axis=0)
        for one, other in pairs
    ]
    return float(np.mean(found))


def _clipped(x: np.ndarray) -> np.ndarray:
    return np.clip(x.astype(np.float64), 0, 1)
