"""Style shared by all figures: colours, text escaping, logarithmic axes and saving."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

NORMAL, ANOMALY, MARK, FAINT = "#3b6fb6", "#d1603d", "#333333", "#d9d9d9"
# Tableau's ten colours and ten lighter ones. Blues replace the two greys: grey is for FAINT.
CLASSES = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    *("#8c564b", "#e377c2", "#1b1f6b", "#bcbd22", "#17becf"),
    *("#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5"),
    *("#c49c94", "#f7b6d2", "#6b6ecf", "#dbdb8d", "#9edae5"),
)
DPI = 110  # pixels per inch
MAX_NAME = 32  # characters of a line of a name


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """Return one colour per class; the same classes always get the same colours."""
    if len(classes) <= len(CLASSES):
        return dict(zip(classes, CLASSES, strict=False))
    palette = colormaps["hsv"].resampled(len(classes) + 1)
    return {name: to_hex(palette(place)) for place, name in enumerate(classes)}


def save(figure: Figure, path: Path, tight: bool = False) -> None:
    """Write a figure as PNG; `tight` fits the frame to the drawn elements.

    Characters that the font lacks are drawn as boxes, without a warning.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        engine = figure.get_layout_engine()
        if engine and not tight:  # run the layout once; savefig would draw everything twice
            figure.set_dpi(DPI)
            engine.execute(figure)
            figure.set_layout_engine(None)
        # Without the software version, an upgrade of Matplotlib does not change the bytes.
        box = "tight" if tight else None
        figure.savefig(path, dpi=DPI, metadata={"Software": None}, bbox_inches=box)


def literal(text: str, width: int = MAX_NAME) -> str:
    """Return text for a figure: at most two lines of `width` characters.

    A long line keeps its beginning and its end. Dollar signs are escaped, because Matplotlib parses
    text between them as mathematics; "?" replaces characters that cannot be printed.
    """
    lines = text.splitlines()
    shown = [_shorten(line, width) for line in lines[:2]]
    return "\n".join(shown).replace("$", r"\$")


def _shorten(line: str, width: int) -> str:
    printable = "".join(char if char.isprintable() else "?" for char in line)
    if len(line) <= width:
        return printable
    end = width // 3
    return f"{printable[: width - end - 1]}\N{HORIZONTAL ELLIPSIS}{printable[-end:]}"


def log_bins(values: np.ndarray, count: int) -> np.ndarray:
    """Return the edges, (count + 1,), of bins of equal width on a logarithmic axis.

    The edges span the positive values. The caller clips other values to the first edge.
    """
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    return np.geomspace(low, max(high, low * 1.01), count + 1)


def log_ticks(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with ticks at 1, 2 and 5 times powers of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
