"""Classical image restoration, without a network.

Unlike networks, these methods know the noise level and the positions of missing pixels.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import median_filter
from skimage.restoration import denoise_nl_means, denoise_wavelet, inpaint_biharmonic
from sklearn.model_selection import ParameterGrid

from hourglass.models.corruption import shrunk
from hourglass.studies.restoration.quality import psnr
from hourglass.studies.restoration.tasks import Problem

NL_MEANS_DISTANCE = 9  # pixels between the patches that non-local means compares


@dataclass(frozen=True)
class Method:
    """A restoration method: its tasks, its function and the candidate settings.

    `restore` maps a problem and settings to restored images, (N, C, H, W).
    """

    name: str
    tasks: tuple[str, ...]
    restore: Callable[..., np.ndarray]
    settings: Iterable[dict[str, Any]] = ({},)

    def select_settings(self, validation: Problem) -> dict[str, Any]:
        """Return the candidate settings with the highest PSNR; the first of several equal ones."""
        candidates = list(self.settings)
        if len(candidates) == 1:
            return candidates[0]
        return max(
            candidates,
            key=lambda settings: psnr(validation.clean, self.restore(validation, **settings)),
        )


def identity(problem: Problem) -> np.ndarray:
    """Return the corrupted images unchanged, as a baseline."""
    return problem.corrupted


def median(problem: Problem, window: int) -> np.ndarray:
    """Apply a median filter of window x window pixels to each channel."""
    return np.asarray(median_filter(problem.corrupted, (1, 1, window, window)))


def nl_means(problem: Problem, patch: int, strength: float) -> np.ndarray:
    """Apply non-local means: average the pixels with similar patches (Buades et al. 2005).

    A patch has patch x patch pixels. `strength` is the decay h of the weights, in standard
    deviations of the noise.
    """
    options = {"patch_size": patch, "patch_distance": NL_MEANS_DISTANCE}
    return _denoise(problem, denoise_nl_means, h=strength * problem.level, **options)


def wavelets(problem: Problem, method: str, wavelet: str, strength: float) -> np.ndarray:
    """Shrink wavelet coefficients (Donoho 1995; Chang et al. 2000).

    `method` is the threshold rule of scikit-image. It assumes noise of `strength` times the actual
    level.
    """
    sigma = strength * problem.level
    return _denoise(problem, denoise_wavelet, sigma=sigma, method=method, wavelet=wavelet)


def _denoise(problem: Problem, denoise: Callable[..., np.ndarray], **options: Any) -> np.ndarray:
    """Apply a function of scikit-image to each image; return images without noise unchanged."""
    if not problem.level:
        return problem.corrupted
    options = {"sigma": problem.level, "channel_axis": -1} | options
    # Channels last: if a single channel comes first, some functions drop it and transpose images.
    images = problem.corrupted.transpose(0, 2, 3, 1)
    restored = [denoise(x, **options).reshape(x.shape) for x in images]
    return np.stack(restored).transpose(0, 3, 1, 2)


def bicubic(problem: Problem) -> np.ndarray:
    """Upsample reduced images with Pillow's cubic convolution (Keys 1981)."""
    factor, (height, width) = int(problem.level), problem.corrupted.shape[2:]
    small = shrunk(torch.from_numpy(problem.corrupted), factor).numpy()
    size = (small.shape[3] * factor, small.shape[2] * factor)
    large = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC))[:height, :width]
        for channel in small.reshape(-1, *small.shape[2:])
    ]
    return np.stack(large).reshape(problem.corrupted.shape)


def biharmonic(problem: Problem) -> np.ndarray:
    """Fill missing pixels by biharmonic inpainting (Damelin and Hoang 2018).

    A channel without any remaining pixel is returned unchanged.
    """
    channels = (x.reshape(-1, *x.shape[2:]) for x in (problem.corrupted, problem.missing))
    filled = [
        x if mask.all() else inpaint_biharmonic(x, mask) for x, mask in zip(*channels, strict=True)
    ]
    return np.stack(filled).reshape(problem.corrupted.shape)


STRENGTHS = (0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
WAVELETS = {
    "method": ("BayesShrink", "VisuShrink"),
    "wavelet": ("db1", "db2"),
    "strength": (0.25, 0.5, 1.0),
}
METHODS = (
    Method("input", ("gaussian", "masking", "block", "downsampling", "grey"), identity),
    Method("median filter", ("gaussian",), median, ParameterGrid({"window": (1, 3, 5, 7)})),
    Method(
        "non-local means",
        ("gaussian",),
        nl_means,
        ParameterGrid({"patch": (5, 7), "strength": STRENGTHS}),
    ),
    Method("wavelets", ("gaussian",), wavelets, ParameterGrid(WAVELETS)),
    Method("bicubic", ("downsampling",), bicubic),
    Method("biharmonic", ("masking", "block"), biharmonic),
)
