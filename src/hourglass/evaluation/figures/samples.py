"""Samples beside their reconstructions, and what is unusual about them."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from hourglass.evaluation.figures.grids import tiles
from hourglass.evaluation.figures.strips import strip
from hourglass.evaluation.figures.style import ANOMALY, MARK, literal

LARGE = 3.0  # standard deviations: an error that is unusual
BARS = 6  # features of a sample that are drawn


@dataclass(frozen=True)
class Group:
    """A titled row of samples beside their reconstructions, in the scaled units."""

    title: str
    x: np.ndarray  # (n, *S)
    reconstruction: np.ndarray  # (n, *S)
    contribution: np.ndarray  # (n, *S): how unusual the error of each element is
    captions: list[str]


def samples(groups: list[Group], feature_names: list[str]) -> Figure:
    """Draw groups of samples beside their reconstructions: pictures, or features as points."""
    return _profiles(groups, feature_names) if feature_names else _pictures(groups)


def _pictures(groups: list[Group]) -> Figure:
    columns = max(len(group.x) for group in groups)
    height, width = groups[0].x.shape[2:]
    size = (1.05 * columns + 0.4, (3.15 * height / width + 0.75) * len(groups))
    figure = Figure(figsize=size, layout="constrained")
    for axes, group in zip(figure.subplots(len(groups), squeeze=False)[:, 0], groups, strict=True):
        axes.set_title(literal(group.title), fontsize=11, loc="left", pad=18)
        images = {"input": group.x, "output": group.reconstruction, "unusual": _heat(group)}
        strip(axes, {name: list(each) for name, each in images.items()}, group.captions)
    return figure


def _heat(group: Group) -> np.ndarray:
    """Return contributions as colours, (n, 3, H, W), dark where the error is a usual one.

    White is the largest of the group but for one element in a thousand, or what is large at all.
    """
    shown = np.maximum(group.contribution.max(1), 0)
    most = max(float(np.quantile(shown, 0.999)), LARGE)
    return np.asarray(colormaps["inferno"](shown / most))[..., :3].transpose(0, 3, 1, 2)


def contributions(groups: list[Group], feature_names: list[str]) -> Figure:
    """Draw for every sample of the groups the features that contributed most to its error."""
    columns = max(len(group.x) for group in groups)
    figure = Figure(figsize=(2.6 * columns, 1.9 * len(groups) + 0.3), layout="constrained")
    bands = figure.subfigures(len(groups), squeeze=False)[:, 0]
    for band, group in zip(bands, groups, strict=True):
        band.suptitle(literal(group.title), fontsize=11, x=0.01, ha="left")
        grid = band.subplots(1, columns, squeeze=False)[0]
        for axes in grid[len(group.x) :]:
            axes.axis("off")
        for axes, values, caption in zip(grid, group.contribution, group.captions, strict=False):
            order = np.argsort(-values, kind="stable")[:BARS]
            axes.barh(range(len(order)), values[order], color=ANOMALY)
            names = [literal(feature_names[i]) for i in order]
            axes.set_yticks(range(len(order)), names, fontsize=6)
            axes.invert_yaxis()
            axes.set_title(literal(caption), fontsize=8)
            axes.tick_params(labelsize=6)
            axes.set_xlabel("sd above a usual error", fontsize=7)
            axes.spines[["top", "right"]].set_visible(False)
    return figure


def generated(images: np.ndarray, columns: int = 10) -> Figure:
    """Draw images that a network made up, (N, C, H, W), as a grid."""
    height, width = images.shape[2:]
    rows = -(-len(images) // columns)
    size = (1.05 * columns, 1.05 * rows * height / width)
    figure = Figure(figsize=size, layout="constrained")
    tiles(figure.subplots(), images, columns)
    return figure


def _profiles(groups: list[Group], feature_names: list[str]) -> Figure:
    columns = max(len(group.x) for group in groups)
    width, height = 2.6 * columns, max(2.4, 0.16 * len(feature_names)) * len(groups) + 0.4
    figure = Figure(figsize=(width, height), layout="constrained")
    bands = figure.subfigures(len(groups), squeeze=False)[:, 0]
    places = np.arange(len(feature_names))
    for band, group in zip(bands, groups, strict=True):
        band.suptitle(literal(group.title), fontsize=11, x=0.01, ha="left")
        grid = band.subplots(1, columns, squeeze=False, sharey=True)[0]
        for axes in grid[1:]:
            axes.yaxis.set_visible(False)  # thirty ticks each, which take as long as all else
        for axes in grid[len(group.x) :]:
            axes.axis("off")
        for axes, x, output, caption in zip(
            grid, group.x, group.reconstruction, group.captions, strict=False
        ):
            axes.hlines(places, x, output, color="#bbbbbb", linewidth=1)
            axes.plot(x, places, "o", color=MARK, markersize=3, label="input")
            axes.plot(output, places, "o", color=ANOMALY, markersize=3, label="output")
            axes.set_title(literal(caption), fontsize=8)
            axes.tick_params(labelsize=6)
            axes.set_xlabel("scaled value", fontsize=7)
        grid[0].set_yticks(places, [literal(name) for name in feature_names], fontsize=6)
        grid[0].invert_yaxis()
        grid[0].legend(frameon=False, fontsize=6)
    return figure
