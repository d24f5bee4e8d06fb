"""Figures of samples with their reconstructions, and of features or pixels with large errors."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view

from hourglass.evaluation.column_points import column_points
from hourglass.evaluation.figures.images import Strip, sheet
from hourglass.evaluation.figures.style import ANOMALY, MARK, literal

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector

UNUSUAL_CONTRIBUTION = 3.0  # in standard deviations
MAX_BARS = 6  # features drawn per sample
MAX_SIDE = 1024  # pixels of a drawn image; larger ones are shrunk
MAX_FEATURES = 30  # drawn of a sample; more would be too many to read


@dataclass(frozen=True)
class Group:
    """A titled row of samples with their reconstructions, in scaled units.

    For the cells of a table, see `column_points`.
    """

    title: str
    x: np.ndarray  # (n, *S)
    reconstruction: np.ndarray | None  # (n, *S); None if the network reconstructs features
    contribution: np.ndarray  # (n, *S): excess loss of each element, in standard deviations
    captions: list[str]
    texts: list[list[str]] = field(default_factory=list)  # of the cells of a table; "" for numbers

    @classmethod
    def of(cls, detector: "Detector", title: str, x: np.ndarray, captions: list[str]) -> "Group":
        """Reconstruct unscaled samples, (n, *S), with the network of a detector."""
        from hourglass.detection.scoring import reconstructions  # imports torch

        network, scaling = detector.scoring.network, detector.scoring.scaling
        contributions = detector.contributions(x)
        if not detector.columns:
            contributions = shrunk(contributions, np.max)
        if not network.reconstructs_samples:
            return cls(title, scaling(shrunk(x)), None, contributions, captions)
        output = reconstructions(network, x, scaling)
        if detector.columns:
            values, restored, texts = column_points(detector.encoding, x, output)
            return cls(title, values, restored, contributions, captions, texts.tolist())
        return cls(title, scaling(shrunk(x)), shrunk(output), contributions, captions)


def shrunk(
    pictures: np.ndarray, reduce: Callable[..., np.ndarray] = np.mean, most: int = MAX_SIDE
) -> np.ndarray:
    """Return pictures, (N, C, H, W), of at most `most` pixels per side, (N, C, H', W').

    Larger ones are divided into squares, which `reduce` makes to pixels.
    """
    height, width = pictures.shape[2:]
    side = -(-max(height, width) // most)
    if side == 1:
        return pictures
    rows, columns = -(-height // side), -(-width // side)
    # The last squares overlap those before them, or are the only ones.
    squares = sliding_window_view(pictures, (min(side, height), min(side, width)), axis=(2, 3))
    down = np.minimum(np.arange(rows) * side, squares.shape[2] - 1)
    across = np.minimum(np.arange(columns) * side, squares.shape[3] - 1)
    return np.stack([reduce(squares[:, :, row, across], axis=(3, 4)) for row in down], 2)


def samples(groups: list[Group], feature_names: list[str]) -> Figure:
    """Draw samples with their reconstructions, as images or as points per feature.

    Of more than MAX_FEATURES features, those with the largest contributions in a group are drawn.
    """
    if feature_names:
        return _feature_samples(groups, feature_names)
    strips = []
    for group in groups:
        output = {} if group.reconstruction is None else {"output": group.reconstruction}
        rows = {"input": group.x, **output, "unusual": _heat_maps(group)}
        strips.append(Strip(group.title, rows, group.captions))
    return sheet(strips)


def _heat_maps(group: Group) -> np.ndarray:
    """Return contributions as colours, (n, 3, H, W); a dark pixel has an ordinary error.

    White is the 99.9 % quantile of the group's contributions, but at least UNUSUAL_CONTRIBUTION.
    """
    positive = np.maximum(group.contribution.max(1), 0)
    white = max(float(np.quantile(positive, 0.999)), UNUSUAL_CONTRIBUTION)
    return np.asarray(colormaps["inferno"](positive / white))[..., :3].transpose(0, 3, 1, 2)


def contributions(groups: list[Group], feature_names: list[str]) -> Figure:
    """Draw bars for the features with the largest contributions to each sample's score."""
    figure, grids = _new_figure(groups, 1.9 * len(groups) + 0.3, sharey=False)
    for group, grid in zip(groups, grids, strict=True):
        for axes, values in zip(grid, group.contribution, strict=False):
            order = np.argsort(-values, kind="stable")[:MAX_BARS]
            axes.barh(range(len(order)), values[order], color=ANOMALY)
            names = [literal(feature_names[i], 24) for i in order]
            axes.set_yticks(range(len(order)), names, fontsize=6)
            axes.invert_yaxis()
            axes.set_xlabel("sd above a usual loss", fontsize=7)
            axes.spines[["top", "right"]].set_visible(False)
    return figure


def _feature_samples(groups: list[Group], feature_names: list[str]) -> Figure:
    count = min(len(feature_names), MAX_FEATURES)
    height = max(2.4, 0.16 * count) * len(groups) + 0.4
    if count < len(feature_names):
        shown = f"the {count} of {len(feature_names):,} features that are off the most"
        groups = [replace(group, title=f"{group.title}, {shown}") for group in groups]
    figure, grids = _new_figure(groups, height, sharey=True)
    y = np.arange(count)
    for group, grid in zip(groups, grids, strict=True):
        drawn = np.sort(np.argsort(-group.contribution.max(0), kind="stable")[:count])
        for axes in grid[1:]:
            axes.yaxis.set_visible(False)  # ticks would take half of the drawing time
        assert group.reconstruction is not None  # of a table
        for axes, x, output in zip(grid, group.x, group.reconstruction, strict=False):
            axes.hlines(y, x[drawn], output[drawn], color="#bbbbbb", linewidth=1)
            axes.plot(x[drawn], y, "o", color=MARK, markersize=3, label="input")
            axes.plot(output[drawn], y, "D", color=ANOMALY, markersize=3, label="output")
            axes.set_xlabel("scaled value", fontsize=7)
        for axes, texts in zip(grid, group.texts, strict=False):
            for place, column in enumerate(drawn):
                if texts[column]:
                    _write_text(axes, place, texts[column])
                    axes.set_xlabel("scaled value, or probability", fontsize=7)
        grid[0].set_yticks(y, [literal(feature_names[i]) for i in drawn], fontsize=6)
        grid[0].invert_yaxis()
        grid[0].legend(frameon=False, fontsize=6)
    return figure


def _write_text(axes: Axes, y: float, text: str) -> None:
    """Write the value of a cell that is no number at the right end of its row."""
    axes.annotate(
        literal(text, 16), (1, y), xycoords=("axes fraction", "data"), xytext=(-2, 3),
        textcoords="offset points", fontsize=5, ha="right",
        va="bottom", color="#555555", annotation_clip=True,
    )  # fmt: skip


def _new_figure(
    groups: list[Group], height: float, sharey: bool
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a row of axes per group, one per sample, with titles and captions."""
    columns = max(len(group.x) for group in groups)
    figure = Figure(figsize=(2.6 * columns, height), layout="constrained")
    grids = []
    bands = figure.subfigures(len(groups), squeeze=False)[:, 0]
    for band, group in zip(bands, groups, strict=True):
        band.suptitle(literal(group.title, 80), fontsize=11, x=0.01, ha="left")
        grid = list(band.subplots(1, columns, squeeze=False, sharey=sharey)[0])
        for axes in grid[len(group.x) :]:
            axes.axis("off")
        for axes, caption in zip(grid, group.captions, strict=False):
            axes.set_title(literal(caption, 24), fontsize=8)
            axes.tick_params(labelsize=6)
        grids.append(grid)
    return figure, grids
