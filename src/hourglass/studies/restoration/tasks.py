"""What is to be undone: corruptions of fixed sizes by fixed draws, the same for every method."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hourglass.core.errors import UserError
from hourglass.data.prepared import Prepared, Split
from hourglass.models.corruption import Corruption
from hourglass.networks import is_image

SMALLEST = 3  # pixels of a side: less has no structure to be similar


@dataclass(frozen=True)
class Problem:
    """Hold what a method sees, what it should find, and what it may be told.

    Arrays are (N, C, H, W) in the scaled units; what is seen of gaussian noise is not clipped.
    """

    task: str
    level: float
    clean: np.ndarray  # float32
    seen: np.ndarray  # float32
    missing: np.ndarray  # bool: where masking or a block has taken the pixel away


@dataclass(frozen=True)
class Task:
    """One setting of a `Corruption`, and the levels at which it is to be undone."""

    name: str
    setting: str
    levels: tuple[float, ...]

    def corruption(self, level: float) -> Corruption:
        """Return the corruption of a level."""
        kind = type(getattr(Corruption, self.setting))
        settings: dict[str, Any] = {self.setting: kind(level)}
        return Corruption(**settings)

    def problem(self, clean: np.ndarray, level: float, seed: int) -> Problem:
        """Return clean images, (N, C, H, W), corrupted by draws of `seed` alone.

        At all levels they are the same draws: noise differs in size only.
        """
        corruption, x = self.corruption(level), torch.from_numpy(clean)
        seen, holes = (corruption(each, _seeded(seed)) for each in (x, torch.ones_like(x)))
        return Problem(self.name, level, clean, seen.numpy(), (holes == 0).numpy())


TASKS = (
    Task("gaussian", "noise_factor", tuple(i / 10 for i in range(11))),
    Task("masking", "masking", (0.25, 0.5, 0.75)),
    Task("block", "block", (0.25, 0.5)),
    Task("downsampling", "downsampling", (2.0,)),
    Task("grey", "grey", (1.0,)),
)


def tasks_for(sample_shape: tuple[int, ...]) -> list[Task]:
    """Return the tasks that images (C, H, W) of this shape can set: grey is for colours only.

    Raises a UserError for tables and for images of less than SMALLEST pixels a side.
    """
    if not is_image(sample_shape):
        raise UserError(
            f"samples of shape {sample_shape} are rows of a table, but only images can be "
            "restored; name a data set of images."
        )
    if min(sample_shape[1:]) < SMALLEST:
        raise UserError(
            f"images of {sample_shape[2]} x {sample_shape[1]} pixels are too small to be compared; "
            f"they need {SMALLEST} pixels a side at least."
        )
    return [task for task in TASKS if task.name != "grey" or sample_shape[0] == 3]


def images(prepared: Prepared, split: Split, most: int) -> np.ndarray:
    """Return at most so many normal images of a split, from everywhere, scaled: (n, C, H, W)."""
    samples = prepared.split(split)
    normal = np.flatnonzero(~samples.anomaly)
    places = np.linspace(0, len(normal) - 1, min(most, len(normal))).round().astype(int)
    return np.asarray(prepared.scaling(samples.x[normal[places]]))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
