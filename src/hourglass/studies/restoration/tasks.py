"""Restoration tasks: corruptions at fixed levels, with the same random draws for every method."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from hourglass.data.prepared_data import Prepared, Split
from hourglass.models.corruption import Corruption
from hourglass.studies.latent_space import evenly_spaced

MIN_SIDE_PIXELS = 3  # SSIM needs a window of 3 x 3


@dataclass(frozen=True)
class Problem:
    """Clean and corrupted images, and the information about the corruption for methods.

    Arrays are (N, C, H, W) in scaled units. Images with gaussian noise are not clipped.
    """

    task: str
    level: float  # the value of the corruption's setting
    clean: np.ndarray  # float32
    corrupted: np.ndarray  # float32
    missing: np.ndarray  # bool: pixels removed by masking or a block


@dataclass(frozen=True)
class Task:
    """A corruption by one setting of `Corruption`, and the values of this setting (levels)."""

    name: str
    setting: str
    levels: tuple[float, ...]
    shown_level: float  # in the figure and in the metrics
    title: str  # in the figure

    def corruption(self, level: float) -> Corruption:
        """Return the corruption at a level."""
        default = getattr(Corruption(), self.setting)
        return replace(Corruption(), **{self.setting: type(default)(level)})

    def problem(self, clean: np.ndarray, level: float, seed: int) -> Problem:
        """Corrupt clean images, (N, C, H, W); the draws depend on `seed` only.

        Draws are the same at all levels, so that noise differs in scale only.
        """
        corruption, x = self.corruption(level), torch.from_numpy(clean)
        # The zeros of equally corrupted images of ones are the missing pixels.
        corrupted, ones = (
            corruption(images, torch.Generator().manual_seed(seed))
            for images in (x, torch.ones_like(x))
        )
        return Problem(self.name, level, clean, corrupted.numpy(), (ones == 0).numpy())


TASKS = (
    Task("gaussian", "noise_factor", tuple(i / 10 for i in range(11)), 0.5, "noise of factor 0.5"),
    Task("masking", "masking", (0.25, 0.5, 0.75), 0.5, "half of the pixels set to 0"),
    Task("block", "block", (0.25, 0.5), 0.25, "a block set to 0"),
    Task("downsampling", "downsampling", (2.0,), 2.0, "half of the pixels a side"),
    Task("grey", "grey", (1.0,), 1.0, "without colours"),
)


def tasks_for(sample_shape: tuple[int, ...]) -> list[Task]:
    """Return the tasks for images of a shape, (C, H, W); `grey` needs three channels."""
    return [task for task in TASKS if task.name != "grey" or sample_shape[0] == 3]


def clean_images(prepared: Prepared, split: Split, limit: int) -> np.ndarray:
    """Return at most `limit` normal images of a split, evenly spaced, scaled: (n, C, H, W)."""
    samples = prepared.split(split)
    normal = np.flatnonzero(~samples.anomaly)
    return np.asarray(prepared.scaling(samples.x[normal[evenly_spaced(len(normal), limit)]]))
