"""Contact sheets of search results: each query next to its nearest images."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hourglass.evaluation.figures.style import ANOMALY, MARK

MAX_NEIGHBOURS = 10
MIN_COLUMNS = 5  # so that the title fits
MAX_CAPTION_LETTERS = 17
GAP, CAPTION_HEIGHT, QUERY_GAP = 0.12, 0.36, 0.45  # in widths of an image


@dataclass(frozen=True)
class SheetRow:
    """A query image and its nearest images, with pixels in [0, 1]."""

    name: str
    query: np.ndarray  # (C, H, W)
    images: np.ndarray  # (n, C, H, W), nearest first
    labels: list[str]
    distances: np.ndarray  # (n,)
    anomaly: np.ndarray  # (n,) bool


def draw_sheet(rows: list[SheetRow], title: str) -> Figure:
    """Draw one row per query: the query above its name, then neighbours with label and distance.

    Anomalies are framed. All images share one Axes, because two hundred Axes would take seconds.
    """
    height = rows[0].query.shape[1] / rows[0].query.shape[2]
    columns = min(MAX_NEIGHBOURS, max(MIN_COLUMNS, *(len(row.images) for row in rows)))
    step, width = height + GAP + CAPTION_HEIGHT, 1 + QUERY_GAP + columns * (1 + GAP)
    figure = Figure(figsize=(width, step * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)
    for top, row in zip(np.arange(len(rows)) * step, rows, strict=True):
        _draw_image(axes, row.query, 0, top, _shorten(row.name, keep_end=True))
        distances = _format_distances(row.distances)
        for i, image in enumerate(row.images[:columns]):
            caption = f"{_shorten(row.labels[i])}\n{distances[i]}"
            left = 1 + QUERY_GAP + i * (1 + GAP)
            _draw_image(axes, image, left, top, caption, framed=bool(row.anomaly[i]))
    axes.axvline(1 + QUERY_GAP / 2, color=MARK, linewidth=0.8)
    axes.set(xlim=(-GAP, width), ylim=(step * len(rows), -GAP))
    axes.axis("off")
    return figure


def _draw_image(
    axes: Axes, image: np.ndarray, left: float, top: float, caption: str, framed: bool = False
) -> None:
    """Draw an image (C, H, W), one unit wide, above its caption."""
    pixels = np.clip(image.transpose(1, 2, 0), 0, 1)
    bottom = top + pixels.shape[0] / pixels.shape[1]
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=(left, left + 1, bottom, top))
    if framed:
        corner, height = (left, top), bottom - top
        axes.add_patch(Rectangle(corner, 1, height, fill=False, edgecolor=ANOMALY, linewidth=2.5))
    place = (left + 0.5, bottom + GAP / 2)
    # Without parse_math=False, a dollar sign in a label or name would start a formula.
    axes.text(*place, caption, fontsize=7, ha="center", va="top", parse_math=False)


def _format_distances(distances: np.ndarray) -> list[str]:
    """Format distances with as many decimals as the largest needs for three digits."""
    largest = float(distances.max())
    decimals = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
    return [f"{distance:.{decimals}f}" for distance in distances]


def _shorten(text: str, keep_end: bool = False) -> str:
    """Replace the end of a long text, or its start, by an ellipsis."""
    if len(text) <= MAX_CAPTION_LETTERS:
        return text
    kept, ellipsis = MAX_CAPTION_LETTERS - 1, "\N{HORIZONTAL ELLIPSIS}"
    return ellipsis + text[-kept:] if keep_end else text[:kept] + ellipsis
