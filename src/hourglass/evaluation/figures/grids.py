"""Many images in one picture: rows with titles, or places of a square grid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.evaluation.figures.style import literal

GAP = 0.08  # between images, in their own size
INCH = 0.62  # the side of an image


@dataclass(frozen=True)
class Row:
    """A row of images in [0, 1] and what is written to its left."""

    title: str
    images: np.ndarray  # (n, C, H, W)


def grid(rows: Sequence[Row], columns: Sequence[str] = (), below: str = "") -> Figure:
    """Draw rows of images; `columns` are written above them, `below` under all of them."""
    count = max(len(row.images) for row in rows)
    height, width = rows[0].images.shape[2:]
    placed = [(i, j, image) for i, row in enumerate(rows) for j, image in enumerate(row.images)]
    longest = max(len(line) for row in rows for line in row.title.split("\n"))
    size = (INCH * count + 0.095 * longest + 0.3, INCH * len(rows) * height / width + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas(placed, len(rows), count), extent=(0, count, len(rows), 0))
    axes.set_aspect(height / width)
    places = np.arange(len(rows)) + (1 - GAP) / 2
    axes.set_yticks(places, [literal(row.title) for row in rows], fontsize=9)
    axes.set_xticks(np.arange(len(columns)) + (1 - GAP) / 2, list(columns), fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if below:
        axes.text(0, len(rows) + 0.1, literal(below), fontsize=9, va="top")
    return figure


def tiles(axes: Axes, images: np.ndarray, columns: int) -> None:
    """Draw images, (N, C, H, W), into one axes, row by row."""
    placed = [(*divmod(i, columns), image) for i, image in enumerate(images)]
    axes.imshow(canvas(placed, -(-len(images) // columns), columns))
    axes.axis("off")


def canvas(placed: Iterable[tuple[int, int, np.ndarray]], rows: int, columns: int) -> np.ndarray:
    """Return one white picture with images, (C, H, W) each, in rows and columns: (H, W, 3).

    Images are enlarged without smoothing, so that one of few pixels has as thin a gap as others.
    """
    placed = list(placed)
    height, width = placed[0][2].shape[1:]
    scale = max(1, round(28 / width))
    step = [round(side * scale * (1 + GAP)) for side in (height, width)]
    whole = np.ones((rows * step[0], columns * step[1], 3), np.float32)
    for row, column, image in placed:
        shown = np.clip(np.repeat(np.repeat(image, scale, 1), scale, 2), 0, 1)
        top, left = row * step[0], column * step[1]
        whole[top : top + height * scale, left : left + width * scale] = shown.transpose(1, 2, 0)
    return whole
