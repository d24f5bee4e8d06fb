"""Rows of images in one axes: eighty axes would take seconds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from hourglass.evaluation.figures.style import literal

GAP = 0.08  # between images, in their widths


def strip(
    axes: Axes, rows: Mapping[str, Sequence[np.ndarray]], captions: Sequence[str] = ()
) -> None:
    """Draw named rows of images, (C, H, W) from 0 to 1 each, one below the other.

    The images of a row may be of several sizes: all are drawn as large as the largest. `captions`
    stand above the columns.
    """
    height, width = room(rows)
    columns, gap = max(len(row) for row in rows.values()), GAP * width
    for place, (name, row) in enumerate(rows.items()):
        top = place * (height + gap)
        axes.text(
            -gap, top + height / 2, literal(name), fontsize=8, rotation=90, ha="right", va="center"
        )
        for column, image in enumerate(row):
            draw(axes, image, column * (width + gap), top, (height, width))
    for column, caption in enumerate(captions):
        middle = column * (width + gap) + width / 2
        axes.text(middle, -gap, literal(caption), fontsize=8, ha="center", va="bottom")
    bottom = len(rows) * (height + gap) - gap
    axes.set(xlim=(0, columns * (width + gap) - gap), ylim=(bottom, 0))
    axes.axis("off")


def room(rows: Mapping[str, Sequence[np.ndarray]]) -> tuple[int, int]:
    """Return the height and the width that hold every image of the rows."""
    shapes = [image.shape for row in rows.values() for image in row]
    return max(height for _, height, _ in shapes), max(width for _, _, width in shapes)


def draw(
    axes: Axes, image: np.ndarray, left: float, top: float, cell: tuple[int, int] | None = None
) -> None:
    """Draw one image, as large as fits into the middle of a cell of this height and width."""
    height, width = image.shape[1:]
    rows, columns = cell or (height, width)
    scale = min(rows / height, columns / width)
    left += (columns - scale * width) / 2
    top += (rows - scale * height) / 2
    extent = (left, left + scale * width, top + scale * height, top)
    axes.imshow(displayed(image), cmap="gray", vmin=0, vmax=1, extent=extent)


def displayed(image: np.ndarray) -> np.ndarray:
    """Return (C, H, W) as matplotlib takes it: colour where there are 3 channels, else grey."""
    return np.clip(image.transpose(1, 2, 0) if len(image) == 3 else image[0], 0, 1)
