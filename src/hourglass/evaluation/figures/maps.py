"""Codes in two dimensions: classes in their colours, anomalies, and pictures in their places."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.evaluation.figures.grids import canvas
from hourglass.evaluation.figures.style import FAINT, MARK, class_colours, literal

CELLS = 24  # pictures a side of the map
TOLD = 60  # classes that have a name in the legend, or a map of their own, at most


def together(table: pd.DataFrame, methods: Mapping[str, str], classes: Sequence[str]) -> Figure:
    """Draw all classes in one map a method; anomalies are black crosses.

    More than TOLD classes, whose colours nobody tells apart, have no names.
    """
    named = len(classes) <= TOLD
    figure = Figure(figsize=(6 * len(methods), 5.2), layout="constrained")
    for axes, (method, title) in zip(
        figure.subplots(1, len(methods)), methods.items(), strict=True
    ):
        axes.set_title(title, fontsize=11)
        for name, colour in class_colours(classes).items():
            chosen = table[(table.kind == "normal") & (table.label == name)]
            _points(axes, chosen, method, colour, literal(name) if named else None)
        others = table[table.kind == "anomalous"]
        if len(others):
            axes.plot(*_places(others, method), "x", color=MARK, markersize=3, alpha=0.6,
                      label="anomalous")  # fmt: skip
        _bare(axes, method)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = _columns(labels, 6 * len(methods))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False,
                      markerscale=3, fontsize=9)  # fmt: skip
    return figure


def _columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of a legend fit into so many inches: as many as labels, if they do.

    One takes 0.6 inches with its marker, and 0.075 a letter.
    """
    needed = [0.6 + 0.075 * len(label) for label in labels]
    if len(labels) <= 11 and sum(needed) <= width:
        return len(labels)
    return max(1, min(11, int(width / max(needed))))


def one_by_one(table: pd.DataFrame, method: str, classes: Sequence[str]) -> Figure:
    """Draw the same map once a class, and once for the anomalies; all others are grey.

    Of many classes the first TOLD are drawn.
    """
    normal, anomalous = table.kind == "normal", table.kind == "anomalous"
    shown = [
        (name, colour, normal & (table.label == name))
        for name, colour in [*class_colours(classes).items()][:TOLD]
    ]
    if anomalous.any():
        shown.append(("anomalous", MARK, anomalous))
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.axis("off")
    for axes, (name, colour, own) in zip(grid, shown, strict=False):
        _points(axes, table[~own], method, FAINT)
        _points(axes, table[own], method, colour)
        axes.set_title(f"{literal(name)} ({own.sum():,})", fontsize=10)
        _bare(axes, method)
    return figure


def thumbnails(table: pd.DataFrame, method: str, images: np.ndarray) -> Figure:
    """Draw images, (N, C, H, W), in their places: the most central one of each square."""
    places = np.column_stack(_places(table, method))
    low, high = places.min(0), places.max(0)
    grid = (places - low) / np.maximum(high - low, 1e-9) * (CELLS - 1)
    square = np.round(grid).astype(int)
    order = np.argsort(((grid - square) ** 2).sum(1), kind="stable")
    _, first = np.unique(square[order], axis=0, return_index=True)
    placed = [(CELLS - 1 - square[i, 1], square[i, 0], images[i]) for i in order[first]]
    figure = Figure(figsize=(7, 7.3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas(placed, CELLS, CELLS), aspect="auto")
    axes.set_title("test samples where their codes are", fontsize=11)
    axes.axis("off")
    return figure


def _places(table: pd.DataFrame, method: str) -> tuple[pd.Series, pd.Series]:
    return table[f"{method}_1"], table[f"{method}_2"]


def _points(
    axes: Axes, table: pd.DataFrame, method: str, colour: str, label: str | None = None
) -> None:
    axes.plot(*_places(table, method), ".", color=colour, markersize=3, alpha=0.7, label=label)


def _bare(axes: Axes, method: str) -> None:
    """Name the axes; t-SNE's have no unit, so no ticks either."""
    if method == "pca":
        axes.set(xlabel="first component", ylabel="second component")
        axes.tick_params(labelsize=7)
    else:
        axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(False)
