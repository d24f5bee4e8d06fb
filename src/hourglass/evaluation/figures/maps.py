"""Scatter plots of latent codes in two dimensions: all classes, each class, and thumbnails."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from hourglass.evaluation.figures.images import canvas
from hourglass.evaluation.figures.style import FAINT, MARK, class_styles, literal

GRID_SIZE = 24  # grid squares per side of the map
MAX_CLASSES = 60  # classes in the legend of `overview`, or panels of `per_class`


def overview(table: pd.DataFrame, methods: Mapping[str, str], classes: Sequence[str]) -> Figure:
    """Draw one map per projection method; classes differ in colour and marker, and are named.

    Anomalies are crosses.

    `table` has a row per sample with the columns kind, label, <method>_1 and <method>_2. With more
    than MAX_CLASSES classes there is no legend, because the colours would be indistinguishable.
    """
    has_legend = len(classes) <= MAX_CLASSES
    figure = Figure(figsize=(6 * len(methods), 5.2), layout="constrained")
    for axes, (method, title) in zip(
        figure.subplots(1, len(methods)), methods.items(), strict=True
    ):
        axes.set_title(title, fontsize=11)
        styles = class_styles(classes).items()
        for name, (colour, marker) in styles:
            members = table[(table.kind == "normal") & (table.label == name)]
            label = literal(name) if has_legend else None
            _draw_points(axes, members, method, marker, color=colour, alpha=0.6, label=label)
        anomalies = table[table.kind == "anomalous"]
        if len(anomalies):
            _draw_points(axes, anomalies, method, "x", color=MARK, alpha=0.6, label="anomalous")
        if has_legend:
            _name_classes(axes, table[table.kind == "normal"], method)
        _label_axes(axes, method)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = _legend_columns(labels, 6 * len(methods))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False,
                      markerscale=3, fontsize=9)  # fmt: skip
    return figure


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """Return the number of legend columns that fit into `width` inches.

    A column takes 0.6 inches for its marker and 0.075 inches per letter.
    """
    needed = [0.6 + 0.075 * len(label) for label in labels]
    if len(labels) <= 11 and sum(needed) <= width:
        return len(labels)
    return max(1, min(11, int(width / max(needed))))


def per_class(table: pd.DataFrame, method: str, classes: Sequence[str]) -> Figure:
    """Draw one map per class and one for the anomalies, with all other samples in grey.

    At most MAX_CLASSES classes are drawn.
    """
    normal, anomalous = table.kind == "normal", table.kind == "anomalous"
    panels = [
        (name, colour, normal & (table.label == name))
        for name, (colour, _) in [*class_styles(classes).items()][:MAX_CLASSES]
    ]
    if anomalous.any():
        panels.append(("anomalous", MARK, anomalous))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.axis("off")
    for axes, (name, colour, members) in zip(grid, panels, strict=False):
        _draw_points(axes, table[~members], method, ".", color=FAINT, alpha=0.7)
        _draw_points(axes, table[members], method, ".", color=colour, alpha=0.7)
        axes.set_title(f"{literal(name)} ({members.sum():,})", fontsize=10)
        _label_axes(axes, method)
    return figure


def thumbnails(table: pd.DataFrame, method: str, images: np.ndarray) -> Figure:
    """Draw images, (N, C, H, W), at the map positions of their latent codes.

    Each square of a grid shows the image nearest to the centre of the square.
    """
    coordinates = table[[f"{method}_1", f"{method}_2"]].to_numpy()
    low, high = coordinates.min(0), coordinates.max(0)
    grid = (coordinates - low) / np.maximum(high - low, 1e-9) * (GRID_SIZE - 1)
    square = np.round(grid).astype(int)
    order = np.argsort(((grid - square) ** 2).sum(1), kind="stable")
    _, first = np.unique(square[order], axis=0, return_index=True)
    placed = [(GRID_SIZE - 1 - square[i, 1], square[i, 0], images[i]) for i in order[first]]
    figure = Figure(figsize=(7, 7.3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas(placed, GRID_SIZE, GRID_SIZE), aspect="auto")
    axes.set_title("test samples at the positions of their codes", fontsize=11)
    axes.axis("off")
    return figure


def _draw_points(axes: Axes, table: pd.DataFrame, method: str, marker: str, **style: Any) -> None:
    axes.plot(table[f"{method}_1"], table[f"{method}_2"], marker, markersize=3, **style)


def _name_classes(axes: Axes, normal: pd.DataFrame, method: str) -> None:
    """Write the name of each class at the median of its points, with a white outline."""
    outline = [withStroke(linewidth=3, foreground="white")]
    for name, members in normal.groupby("label"):
        x, y = members[[f"{method}_1", f"{method}_2"]].median()
        axes.text(x, y, literal(str(name), 16), fontsize=9, weight="bold", ha="center",
                  va="center", path_effects=outline)  # fmt: skip


def _label_axes(axes: Axes, method: str) -> None:
    """Label the axes of PCA, and remove the ticks of t-SNE, because its axes have no unit."""
    if method == "pca":
        axes.set(xlabel="first component", ylabel="second component")
        axes.tick_params(labelsize=7)
    else:
        axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(False)
