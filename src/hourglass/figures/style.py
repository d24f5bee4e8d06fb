"""What all figures share: colours, names as they are written, and how they are saved."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

NORMAL, ANOMALY, MARK = "#3b6fb6", "#d1603d", "#333333"
DPI = 110


def save(figure: Figure, path: Path, tight: bool = False) -> None:
    """Write a figure as PNG; a `tight` one with all that stands beyond its frame."""
    # Without the software's version the bytes are the same on every run.
    box = "tight" if tight else None
    figure.savefig(path, dpi=DPI, metadata={"Software": None}, bbox_inches=box)


def literal(text: str) -> str:
    """Return a user's text so that matplotlib takes no dollar in it for mathematics."""
    return text.replace("$", r"\$")


def log_bins(values: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` + 1 edges of bins of equal width on a logarithmic axis.

    They span the positive values; what is not positive has to be clipped to the first edge.
    """
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    return np.geomspace(low, max(high, low * 1.01), count + 1)


def log_ticks(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers at 1, 2, 5, 10."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
