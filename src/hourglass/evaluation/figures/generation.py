"""Figures of generated samples and of their distances from training samples in latent space."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hourglass.evaluation.figures.images import Row, grid, tiles
from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, literal, log_bins, log_ticks

COLUMNS = 10  # images per row
IMAGE_INCHES = 0.56  # width per image
MAX_CLASSES = 20  # maximum number of rows in `samples_by_class`
BINS = 80  # per histogram
TITLES = {
    "real": "real test samples",
    "reconstructions": "reconstructions of test samples",
    "gaussian": "Gaussian",
    "mixture": "Gaussian mixture",
}


def generated(images: np.ndarray) -> Figure:
    """Draw images decoded from the prior, (N, C, H, W), as a grid."""
    height, width = images.shape[2:]
    rows = -(-len(images) // COLUMNS)
    size = (1.05 * COLUMNS, 1.05 * rows * height / width)
    figure = Figure(figsize=size, layout="constrained")
    tiles(figure.subplots(), images, COLUMNS)
    return figure


def sources(samples: dict[str, np.ndarray], distances: dict[str, float], rows: int = 2) -> Figure:
    """Draw one block of images per source, titled with the Frechet distance from real samples.

    `samples` holds the images of each source, (N, C, H, W); the first `rows` x COLUMNS are drawn.
    `distances` are the Frechet distances by source, or empty.
    """
    height, width = next(iter(samples.values())).shape[2:]
    figure_height = (rows * IMAGE_INCHES * height / width + 0.36) * len(samples)
    figure = Figure(figsize=(IMAGE_INCHES * COLUMNS, figure_height), layout="constrained")
    blocks = figure.subplots(len(samples), squeeze=False)[:, 0]
    for axes, (name, images) in zip(blocks, samples.items(), strict=True):
        tiles(axes, images[: rows * COLUMNS], COLUMNS)
        title = TITLES.get(name, name)
        if name in distances:
            digits = "#.3g" if distances[name] < 100 else ".0f"
            title += f" (Fr\u00e9chet distance {distances[name]:{digits}})"
        axes.set_title(literal(title, 80), fontsize=10, loc="left", pad=4)
    return figure


def samples_by_class(
    samples: dict[str, np.ndarray], agreement: pd.DataFrame | None = None
) -> Figure:
    """Draw one row of generated images, (N, C, H, W), per class, with the class to its left.

    `agreement` has the columns class and class_agreement. The latter is the fraction of a class's
    samples that a classifier assigns to that class; it is drawn below the class. Only the first
    MAX_CLASSES classes are drawn.
    """
    share = {}
    if agreement is not None:
        # The last row is the total over all classes. A class of the same name comes first.
        share = agreement.drop_duplicates("class").set_index("class").class_agreement.to_dict()
    rows = [
        Row(name + (f"\n{share[name]:.1%}" if name in share else ""), samples[name][:COLUMNS])
        for name in [*samples][:MAX_CLASSES]
    ]
    note = "below each class: the share of its samples that the classifier puts in it"
    return grid(rows, below=note if share else "")


def code_distances(distances: dict[str, np.ndarray], limit: float) -> Figure:
    """Draw one histogram per source of the distances to the nearest training code, (N,).

    The histograms share a logarithmic axis. A line marks `limit`, the 99th percentile of the
    distances of real test samples.
    """
    size = (7, 0.75 * len(distances) + 1)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle("right of the line: farther out than 99 % of the real test samples", fontsize=9)
    rows = figure.subplots(len(distances), sharex=True, squeeze=False)[:, 0]
    bins = log_bins(np.concatenate([*distances.values()]), BINS)
    for axes, (name, values) in zip(rows, distances.items(), strict=True):
        colour = NORMAL if name == "real" else ANOMALY
        axes.hist(np.clip(values, bins[0], bins[-1]), bins.tolist(), color=colour)
        axes.axvline(max(limit, bins[0]), color=MARK, linestyle="--", linewidth=1)
        text = f"{literal(TITLES.get(name, name))}\n{(values > limit).mean():.1%} far out"
        axes.set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center")
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    log_ticks(rows[-1])
    rows[-1].set_xlabel("distance to the nearest training code (standard deviations of a unit)")
    return figure
