"""Classical image restoration, without a network.

Methods know what they need of a corruption: the noise level and the missing pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import median_filter
from skimage.restoration import denoise_nl_means, denoise_wavelet, inpaint_biharmonic

from hourglass.models.corruption import shrunk
from hourglass.studies.restoration.quality import psnr
from hourglass.studies.restoration.tasks import Problem


@dataclass(frozen=True)
class Method:
    """A function from a problem to restored images (N, C, H, W), and its candidate settings."""

    name: str
    tasks: tuple[str, ...]
    restore: Callable[..., np.ndarray]
    settings: tuple[dict[str, Any], ...] = ({},)

    def select_settings(self, validation: Problem) -> dict[str, Any]:
        """Return the first settings with the highest PSNR."""
        if len(self.settings) == 1:
            return self.settings[0]
        return max(
            self.settings,
            key=lambda settings: psnr(validation.clean, self.restore(validation, **settings)),
        )


def identity(problem: Problem) -> np.ndarray:
    """Return the corrupted images."""
    return problem.corrupted


def median(problem: Problem, window: int) -> np.ndarray:
    """Return the medians over window x window pixels per channel."""
    return np.asarray(median_filter(problem.corrupted, (1, 1, window, window)))


def nl_means(problem: Problem, patch: int, distance: int, strength: float) -> np.ndarray:
    """Return non-local means: averages over pixels with similar patches (Buades et al. 2005).

    Patches have patch x patch pixels, at most `distance` away; `strength` is the decay h of the
    weights in units of the noise. Images without noise are returned unchanged.
    """
    sigma = problem.level
    if not sigma:
        return problem.corrupted
    options = {"patch_size": patch, "patch_distance": distance, "h": strength * sigma}
    return _per_image(problem, denoise_nl_means, sigma=sigma, **options)


def wavelets(problem: Problem, method: str, wavelet: str, strength: float) -> np.ndarray:
    """Return images with shrunk wavelet coefficients (Donoho 1995; Chang et al. 2000).

    `method` sets the threshold, for a noise of `strength` times the actual level. Images without
    noise are returned unchanged.
    """
    if not problem.level:
        return problem.corrupted
    sigma = strength * problem.level
    return _per_image(problem, denoise_wavelet, sigma=sigma, method=method, wavelet=wavelet)


def bicubic(problem: Problem) -> np.ndarray:
    """Return images upsampled by Pillow's cubic convolution (Keys 1981)."""
    factor, (height, width) = int(problem.level), problem.corrupted.shape[2:]
    small = shrunk(torch.from_numpy(problem.corrupted), factor).numpy()
    size = (small.shape[3] * factor, small.shape[2] * factor)
    flat = small.reshape(-1, *small.shape[2:])
    large = [
        np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC))[:height, :width]
        for x in flat
    ]
    return np.stack(large).reshape(problem.corrupted.shape)


def biharmonic(problem: Problem) -> np.ndarray:
    """Return images with missing pixels inpainted biharmonically (Damelin and Hoang 2018).

    A channel without any remaining pixel is returned unchanged.
    """
    height, width = problem.corrupted.shape[2:]
    channels = (x.reshape(-1, height, width) for x in (problem.corrupted, problem.missing))
    filled = [
        x if mask.all() else inpaint_biharmonic(x, mask) for x, mask in zip(*channels, strict=True)
    ]
    return np.stack(filled).reshape(problem.corrupted.shape)


def _per_image(problem: Problem, denoise: Callable[..., np.ndarray], **options: Any) -> np.ndarray:
    """Apply a function of scikit-image to each image, (N, C, H, W)."""
    # Channels last: for a single first channel, some functions drop it and swap height and width.
    images = problem.corrupted.transpose(0, 2, 3, 1)
    restored = [denoise(x, channel_axis=-1, **options).reshape(x.shape) for x in images]
    return np.stack(restored).transpose(0, 3, 1, 2)


def _grid(**values: tuple[Any, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(values, each, strict=True)) for each in product(*values.values()))


METHODS = (
    Method("input", ("gaussian", "masking", "block", "downsampling", "grey"), identity),
    Method("median filter", ("gaussian",), median, _grid(window=(1, 3, 5, 7))),
    Method(
        "non-local means",
        ("gaussian",),
        nl_means,
        _grid(patch=(5, 7), distance=(9,), strength=(0.2, 0.3, 0.4, 0.5, 0.7, 0.9)),
    ),
    Method(
        "wavelets",
        ("gaussian",),
        wavelets,
        _grid(
            method=("BayesShrink", "VisuShrink"),
            wavelet=("db1", "db2"),
            strength=(0.25, 0.5, 1.0),
        ),
    ),
    Method("bicubic", ("downsampling",), bicubic),
    Method("biharmonic", ("masking", "block"), biharmonic),
)
