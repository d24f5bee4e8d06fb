"""Figure of sparse codes: how often units are active."""

import numpy as np
from matplotlib.figure import Figure

from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL

BINS_PER_DECADE = 4


def firing_frequencies(frequencies: np.ndarray, samples: int, dense: float) -> Figure:
    """Draw a histogram of the units' firing frequencies, (latent_dim,), on a logarithmic axis.

    Dead units, which are never active on the `samples`, are a bar of another colour at the left
    end. A line marks the frequency above which a unit is dense.
    """
    live = np.log10(frequencies[frequencies > 0])
    low = np.floor(-np.log10(samples) * BINS_PER_DECADE) / BINS_PER_DECADE
    edges = np.arange(round(low * BINS_PER_DECADE), 1) / BINS_PER_DECADE
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(live, np.append(edges, 0.01).tolist(), color=NORMAL, edgecolor="white", linewidth=0.5)
    dead = int((frequencies == 0).sum())
    place = low - 0.3
    axes.bar([place], [dead], width=0.16, color=ANOMALY)
    axes.text(place, dead, f" {dead:,} dead", ha="center", va="bottom", fontsize=8)
    axes.axvline(np.log10(dense), color=MARK, linestyle="--", linewidth=1)
    axes.text(np.log10(dense), 1.0, f" dense: above {100 * dense:g} %", fontsize=8, va="top",
              transform=axes.get_xaxis_transform())  # fmt: skip
    ticks = np.arange(np.ceil(low), 1)
    axes.set_xticks([place, *ticks], ["never", *(f"{10**tick:g}" for tick in ticks)])
    axes.set(xlabel="share of samples on which a unit is active", ylabel="units")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
