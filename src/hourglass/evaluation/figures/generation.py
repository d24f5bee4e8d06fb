"""Samples that a network made up, and how far their codes are from those of real ones."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hourglass.evaluation.figures.grids import Row, grid, tiles
from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, literal, log_bins, log_ticks

COLUMNS = 10  # images beside each other
TILE = 0.56  # inches of one
CLASSES = 20  # that are drawn, at most
BINS = 80
TITLES = {
    "real": "real test samples",
    "reconstructions": "reconstructions of test samples",
    "gaussian": "Gaussian",
    "mixture": "Gaussian mixture",
}


def sources(samples: dict[str, np.ndarray], frechet: pd.DataFrame, rows: int = 2) -> Figure:
    """Draw the first samples (N, C, H, W) of each source as a block, its distance in the title.

    `frechet` has the columns source and frechet_distance.
    """
    distance = frechet.set_index("source").frechet_distance
    height, width = next(iter(samples.values())).shape[2:]
    tall = (rows * TILE * height / width + 0.36) * len(samples)
    figure = Figure(figsize=(TILE * COLUMNS, tall), layout="constrained")
    places = figure.subplots(len(samples), squeeze=False)[:, 0]
    for axes, (name, images) in zip(places, samples.items(), strict=True):
        tiles(axes, images[: rows * COLUMNS], COLUMNS)
        digits = "#.3g" if distance[name] < 100 else ".0f"
        title = f"{TITLES.get(name, name)} (Fr\u00e9chet distance {distance[name]:{digits}})"
        axes.set_title(literal(title), fontsize=10, loc="left", pad=4)
    return figure


def by_class(samples: dict[str, np.ndarray], agreement: pd.DataFrame | None = None) -> Figure:
    """Draw samples (N, C, H, W) of each class as a row, the class at its left.

    `agreement` has the columns class and class_agreement, the share of a class's samples that a
    classifier gives it: it stands below the class. Of many classes the first CLASSES are drawn.
    """
    share = {}
    if agreement is not None:
        # The first of two rows of one name: a class may be called as the row of all of them.
        share = agreement.drop_duplicates("class").set_index("class").class_agreement.to_dict()
    rows = [
        Row(name + (f"\n{share[name]:.1%}" if name in share else ""), samples[name][:COLUMNS])
        for name in [*samples][:CLASSES]
    ]
    said = "below each class: the share of its samples that the classifier puts in it"
    return grid(rows, below=said if share else "")


def code_distances(distances: dict[str, np.ndarray], limit: float) -> Figure:
    """Draw how far the codes of each source, (N,), are from the nearest training code.

    A histogram a source on a common logarithmic axis; right of `limit` is what is far out.
    """
    size = (7, 0.75 * len(distances) + 1)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle("right of the line: farther out than 99 % of the real test samples", fontsize=9)
    places = figure.subplots(len(distances), sharex=True, squeeze=False)[:, 0]
    bins = log_bins(np.concatenate([*distances.values()]), BINS)
    for axes, (name, each) in zip(places, distances.items(), strict=True):
        colour = NORMAL if name == "real" else ANOMALY
        axes.hist(np.clip(each, bins[0], bins[-1]), bins.tolist(), color=colour)
        axes.axvline(max(limit, bins[0]), color=MARK, linestyle="--", linewidth=1)
        text = f"{literal(TITLES.get(name, name))}\n{(each > limit).mean():.1%} far out"
        axes.set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center")
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    log_ticks(places[-1])
    places[-1].set_xlabel("distance to the nearest training code (standard deviations of a unit)")
    return figure
