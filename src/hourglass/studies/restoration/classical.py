"""How images are restored without a network.

All that a method could not know is told it: the size of the noise, and which pixels are missing.
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
    """A function from a problem to images (N, C, H, W), and the settings it may be given."""

    name: str
    tasks: tuple[str, ...]
    restore: Callable[..., np.ndarray]
    settings: tuple[dict[str, Any], ...] = ({},)

    def chosen(self, validation: Problem) -> dict[str, Any]:
        """Return the settings with the highest PSNR; the first of equals."""
        if len(self.settings) == 1:
            return self.settings[0]
        return max(
            self.settings,
            key=lambda each: psnr(validation.clean, self.restore(validation, **each)),
        )


def seen(problem: Problem) -> np.ndarray:
    """Return what is to be restored as it is."""
    return problem.seen


def median(problem: Problem, window: int) -> np.ndarray:
    """Return the medians over window x window pixels of each channel."""
    return np.asarray(median_filter(problem.seen, (1, 1, window, window)))


def nl_means(problem: Problem, patch: int, distance: int, strength: float) -> np.ndarray:
    """Return means over pixels with like neighbourhoods (Buades et al. 2005).

    Neighbourhoods are patch x patch pixels, at most `distance` away; `strength` is the decay of the
    weights, h, in units of the noise. Where there is no noise nothing is done.
    """
    sigma = problem.level
    if not sigma:
        return problem.seen
    options = {"patch_size": patch, "patch_distance": distance, "h": strength * sigma}
    return _each(problem, denoise_nl_means, sigma=sigma, **options)


def wavelets(problem: Problem, method: str, wavelet: str, strength: float) -> np.ndarray:
    """Return images whose wavelet coefficients were shrunk (Donoho 1995; Chang et al. 2000).

    `method` sets the threshold for noise `strength` times as large as it is. Where there is no
    noise nothing is done.
    """
    if not problem.level:
        return problem.seen
    sigma = strength * problem.level
    return _each(problem, denoise_wavelet, sigma=sigma, method=method, wavelet=wavelet)


def bicubic(problem: Problem) -> np.ndarray:
    """Return the small images at full size, by Pillow's cubic convolution (Keys 1981)."""
    factor, (height, width) = int(problem.level), problem.seen.shape[2:]
    small = shrunk(torch.from_numpy(problem.seen), factor).numpy()
    size = (small.shape[3] * factor, small.shape[2] * factor)
    flat = small.reshape(-1, *small.shape[2:])
    large = [
        np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC))[:height, :width]
        for x in flat
    ]
    return np.stack(large).reshape(problem.seen.shape)


def biharmonic(problem: Problem) -> np.ndarray:
    """Return images whose missing pixels solve the biharmonic equation (Damelin and Hoang 2018).

    Where no pixel is left there is nothing to go by, and nothing is done.
    """
    height, width = problem.seen.shape[2:]
    channels = (each.reshape(-1, height, width) for each in (problem.seen, problem.missing))
    filled = [
        x if mask.all() else inpaint_biharmonic(x, mask) for x, mask in zip(*channels, strict=True)
    ]
    return np.stack(filled).reshape(problem.seen.shape)


def _each(problem: Problem, denoise: Callable[..., np.ndarray], **options: Any) -> np.ndarray:
    """Return what a function of scikit-image makes of each image, (N, C, H, W)."""
    # The channels stand last: of one channel alone some return none, and turn the image's sides
    # where it stood first.
    images = problem.seen.transpose(0, 2, 3, 1)
    found = [denoise(x, channel_axis=-1, **options).reshape(x.shape) for x in images]
    return np.stack(found).transpose(0, 3, 1, 2)


def _grid(**values: tuple[Any, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(values, each, strict=True)) for each in product(*values.values()))


METHODS = (
    Method("input", ("gaussian", "masking", "block", "downsampling", "grey"), seen),
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
