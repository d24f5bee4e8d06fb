"""Restored images: how near they come to the clean ones, and what they look like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.evaluation.figures.strips import room, strip
from hourglass.evaluation.figures.style import ANOMALY, MARK, literal

# Told apart without colours.
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "x")
QUALITIES = {"PSNR": "PSNR (dB)", "SSIM": "SSIM"}


@dataclass(frozen=True)
class Strip:
    """Hold named rows of images, (C, H, W) from 0 to 1 each, and what is said of them."""

    title: str
    rows: Mapping[str, Sequence[np.ndarray]]


def restoration(table: pd.DataFrame, networks: Sequence[str]) -> Figure:
    """Draw PSNR and SSIM over the noise factor, a line a method.

    `table` has the columns level, method, PSNR and SSIM of one task; the methods that `networks`
    names are in the colour of the outputs. A missing value has no point.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    methods = list(dict.fromkeys(table.method))
    classical = [method for method in methods if method not in networks]
    for axes, (column, label) in zip(figure.subplots(1, 2), QUALITIES.items(), strict=True):
        for place, method in enumerate(classical):
            _line(axes, table, method, column, MARK, place, filled=False)
        for place, method in enumerate(each for each in methods if each in networks):
            _line(axes, table, method, column, ANOMALY, place, filled=True)
        axes.set(xlabel="noise factor", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, handlelength=4)
    return figure


def _line(
    axes: Axes, table: pd.DataFrame, method: str, column: str, colour: str, place: int, filled: bool
) -> None:
    rows = table[table.method == method].sort_values("level")
    axes.plot(
        rows.level,
        rows[column].astype(float),
        color=colour,
        linestyle=LINES[place % len(LINES)],
        marker=MARKERS[place % len(MARKERS)],
        markersize=5,
        markerfacecolor=colour if filled else "white",
        label=literal(method),
    )


def sheet(strips: Sequence[Strip]) -> Figure:
    """Draw strips of images, one below the other."""
    columns = max(len(row) for each in strips for row in each.rows.values())
    shapes = [room(each.rows) for each in strips]
    heights = [
        1.05 * len(each.rows) * height / width + 0.35
        for each, (height, width) in zip(strips, shapes, strict=True)
    ]
    figure = Figure(figsize=(1.05 * columns + 0.4, sum(heights)), layout="constrained")
    grid = figure.subplots(len(strips), squeeze=False, height_ratios=heights)[:, 0]
    for axes, each in zip(grid, strips, strict=True):
        axes.set_title(literal(each.title), fontsize=11, loc="left")
        strip(axes, each.rows)
    return figure
