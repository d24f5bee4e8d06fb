"""A contact sheet: queries, and beside each the images that are nearest to it."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hourglass.evaluation.figures.style import ANOMALY, MARK

COLUMNS = 10  # neighbours that are drawn, at most
LEAST = 5  # columns, for the title
LETTERS = 17  # that fit below an image
GAP, CAPTION, APART = 0.12, 0.36, 0.45  # in widths of an image


@dataclass(frozen=True)
class Row:
    """Hold one query and its neighbours, images (C, H, W) with pixels in [0, 1]."""

    name: str
    query: np.ndarray  # (C, H, W)
    images: np.ndarray  # (n, C, H, W), nearest first
    labels: list[str]
    distances: np.ndarray  # (n,)
    anomaly: np.ndarray  # (n,) bool


def sheet(rows: list[Row], title: str) -> Figure:
    """Draw a row a query, into one axes: two hundred of them would take seconds.

    The query stands apart at the left above its name, each neighbour above its label and distance;
    those that are anomalies are framed.
    """
    height = rows[0].query.shape[1] / rows[0].query.shape[2]
    columns = min(COLUMNS, max(LEAST, *(len(row.images) for row in rows)))
    step, wide = height + GAP + CAPTION, 1 + APART + columns * (1 + GAP)
    figure = Figure(figsize=(wide, step * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)
    for top, row in zip(np.arange(len(rows)) * step, rows, strict=True):
        _draw(axes, row.query, 0, top, _end(row.name))
        distances = _rounded(row.distances)
        for i, image in enumerate(row.images[:columns]):
            caption = f"{_start(row.labels[i])}\n{distances[i]}"
            left = 1 + APART + i * (1 + GAP)
            _draw(axes, image, left, top, caption, framed=bool(row.anomaly[i]))
    axes.axvline(1 + APART / 2, color=MARK, linewidth=0.8)
    axes.set(xlim=(-GAP, wide), ylim=(step * len(rows), -GAP))
    axes.axis("off")
    return figure


def _draw(
    axes: Axes, image: np.ndarray, left: float, top: float, caption: str, framed: bool = False
) -> None:
    """Draw an image one unit wide, with its caption below."""
    pixels = np.clip(image.transpose(1, 2, 0), 0, 1)
    bottom = top + pixels.shape[0] / pixels.shape[1]
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=(left, left + 1, bottom, top))
    if framed:
        corner, height = (left, top), bottom - top
        axes.add_patch(Rectangle(corner, 1, height, fill=False, edgecolor=ANOMALY, linewidth=2.5))
    # A dollar in a user's label or name is no mathematics.
    place = (left + 0.5, bottom + GAP / 2)
    axes.text(*place, caption, fontsize=7, ha="center", va="top", parse_math=False)


def _rounded(distances: np.ndarray) -> list[str]:
    """Return distances with as many decimals as the largest needs for three digits."""
    largest = float(distances.max())
    decimals = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
    return [f"{each:.{decimals}f}" for each in distances]


def _start(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def _end(text: str) -> str:
    """Return the end of a name, which tells more than its beginning."""
    return text if len(text) <= LETTERS else f"\N{HORIZONTAL ELLIPSIS}{text[1 - LETTERS :]}"
