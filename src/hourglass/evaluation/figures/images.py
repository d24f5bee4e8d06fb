"""Many images in one Matplotlib axes: titled rows, grids, and strips of mixed image sizes.

With one axes per image, a figure would take seconds to draw.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.evaluation.figures.style import literal

GAP = 0.08  # space between images, as a fraction of their size
IMAGE_INCHES = 0.62  # width per image in a grid


@dataclass(frozen=True)
class Row:
    """A row of images in [0, 1] with a title to its left."""

    title: str
    images: np.ndarray  # (n, C, H, W)


def grid(rows: Sequence[Row], columns: Sequence[str] = (), below: str = "") -> Figure:
    """Draw rows of images with column titles above and a note below them."""
    count = max(len(row.images) for row in rows)
    height, width = rows[0].images.shape[2:]
    placed = [(i, j, image) for i, row in enumerate(rows) for j, image in enumerate(row.images)]
    longest = max(len(line) for row in rows for line in literal(row.title).split("\n"))
    inches = IMAGE_INCHES
    size = (inches * count + 0.095 * longest + 0.3, inches * len(rows) * height / width + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas(placed, len(rows), count), extent=(0, count, len(rows), 0))
    axes.set_aspect(height / width)
    ticks = np.arange(len(rows)) + (1 - GAP) / 2
    axes.set_yticks(ticks, [literal(row.title) for row in rows], fontsize=9)
    axes.set_xticks(np.arange(len(columns)) + (1 - GAP) / 2, list(columns), fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if below:
        axes.text(0, len(rows) + 0.1, literal(below, 100), fontsize=9, va="top")
    return figure


def tiles(axes: Axes, images: np.ndarray, columns: int) -> None:
    """Draw images, (N, C, H, W), into one axes, row by row, with `columns` images per row."""
    placed = [(*divmod(i, columns), image) for i, image in enumerate(images)]
    axes.imshow(canvas(placed, -(-len(images) // columns), columns))
    axes.axis("off")


def canvas(placed: Iterable[tuple[int, int, np.ndarray]], rows: int, columns: int) -> np.ndarray:
    """Place images on a white canvas of `rows` x `columns` squares and return it, (H, W, 3).

    `placed` yields (row, column, image), with images (C, H, W) of one size. Small images are
    enlarged without smoothing, so that gaps have the same relative width in all figures.
    """
    placed = list(placed)
    height, width = placed[0][2].shape[1:]
    scale = max(1, round(28 / width))
    step = [round(side * scale * (1 + GAP)) for side in (height, width)]
    picture = np.ones((rows * step[0], columns * step[1], 3), np.float32)
    for row, column, image in placed:
        enlarged = np.clip(np.repeat(np.repeat(image, scale, 1), scale, 2), 0, 1)
        top, left = row * step[0], column * step[1]
        area = picture[top : top + height * scale, left : left + width * scale]
        area[:] = enlarged.transpose(1, 2, 0)
    return picture


@dataclass(frozen=True)
class Strip:
    """A title, named rows of images, (C, H, W) each in [0, 1], and captions above the columns."""

    title: str
    rows: Mapping[str, Sequence[np.ndarray] | np.ndarray]
    captions: Sequence[str] = ()


def sheet(strips: Sequence[Strip], inches: float = 1.05) -> Figure:
    """Draw strips of images, one below the other; an image is `inches` wide."""
    columns = max(len(row) for strip in strips for row in strip.rows.values())
    sizes = [_largest_size(strip) for strip in strips]
    heights = [
        inches * len(strip.rows) * height / width + (0.75 if strip.captions else 0.35)
        for strip, (height, width) in zip(strips, sizes, strict=True)
    ]
    figure = Figure(figsize=(inches * columns + 0.4, sum(heights)), layout="constrained")
    grid = figure.subplots(len(strips), squeeze=False, height_ratios=heights)[:, 0]
    for axes, strip, size in zip(grid, strips, sizes, strict=True):
        pad = 18 if strip.captions else None
        axes.set_title(literal(strip.title, 80), fontsize=11, loc="left", pad=pad)
        _draw_strip(axes, strip, size)
    return figure


def _largest_size(strip: Strip) -> tuple[int, int]:
    """Return the largest height and the largest width of the images."""
    shapes = [image.shape for row in strip.rows.values() for image in row]
    return max(shape[1] for shape in shapes), max(shape[2] for shape in shapes)


def _draw_strip(axes: Axes, strip: Strip, size: tuple[int, int]) -> None:
    """Draw the rows of a strip, with each image scaled to fit `size`: height and width."""
    height, width = size
    columns, gap = max(len(row) for row in strip.rows.values()), GAP * width
    for i, (name, row) in enumerate(strip.rows.items()):
        top = i * (height + gap)
        axes.text(
            -gap, top + height / 2, literal(name), fontsize=8, rotation=90, ha="right", va="center"
        )
        for column, image in enumerate(row):
            _draw_image(axes, image, column * (width + gap), top, size)
    for column, caption in enumerate(strip.captions):
        middle = column * (width + gap) + width / 2
        axes.text(middle, -gap, literal(caption), fontsize=8, ha="center", va="bottom")
    bottom = len(strip.rows) * (height + gap) - gap
    axes.set(xlim=(0, columns * (width + gap) - gap), ylim=(bottom, 0))
    axes.axis("off")


def _draw_image(
    axes: Axes, image: np.ndarray, left: float, top: float, size: tuple[int, int]
) -> None:
    """Draw an image, (C, H, W), scaled to fit `size`, height and width, and centred in it."""
    height, width = image.shape[1:]
    scale = min(size[0] / height, size[1] / width)
    left += (size[1] - scale * width) / 2
    top += (size[0] - scale * height) / 2
    extent = (left, left + scale * width, top + scale * height, top)
    pixels = np.clip(image.transpose(1, 2, 0) if len(image) == 3 else image[0], 0, 1)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=extent)
