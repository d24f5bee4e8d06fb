"""The first images of a file above what became of them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.evaluation import figures

MOST = 20
ROW = 10
LARGE = 256  # pixels a side, beyond which an image is drawn smaller


@dataclass
class Pairs:
    """Hold the first MOST pairs of images, (C, H, W) from 0 to 1 each, small enough to be drawn."""

    held: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Take a pair into account."""
        if len(self.held) < MOST:
            self.held.append((_thumbnail(before), _thumbnail(after)))

    def draw(self, path: Path) -> None:
        """Draw input above output, ROW pairs a strip."""
        strips = []
        for start in range(0, len(self.held), ROW):
            before, after = zip(*self.held[start : start + ROW], strict=True)
            strips.append(figures.Strip("", {"input": list(before), "output": list(after)}))
        figures.save(figures.sheet(strips), path)


def pixels(x: np.ndarray) -> Image.Image:
    """Return an image, (1 or 3, H, W) from 0 to 1, as Pillow has it."""
    levels = np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))


def _thumbnail(x: np.ndarray) -> np.ndarray:
    image = pixels(x)
    image.thumbnail((LARGE, LARGE))  # in place; smaller ones stay as they are
    found = np.asarray(image, np.float32) / 255
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)
