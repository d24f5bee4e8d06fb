"""Style shared by all figures: colours, text escaping, logarithmic axes and saving."""

import warnings
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from hourglass.evaluation.palette import ANOMALY, COLOURS, FAINT, MARK, MARKERS, NORMAL

__all__ = ["ANOMALY", "COLOURS", "FAINT", "MARK", "NORMAL"]  # of the palette
SOFT = "#666666"  # of the names above figures
DPI = 110  # pixels per inch
MAX_NAME = 32  # characters of a line of a name


def class_styles(classes: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return colour and marker per class; the same classes always get the same."""
    pairs = zip(cycle(COLOURS), cycle(MARKERS.values()))
    return dict(zip(classes, pairs, strict=False))


def save(figure: Figure, path: Path, tight: bool = False, name: str = "") -> None:
    """Write a figure as PNG; `tight` fits the frame to the drawn elements.

    `name` is written above the figure. Characters that the font lacks are drawn as boxes, without a
    warning.
    """
    if name:
        title = "\n".join(filter(None, [literal(name, 2 * MAX_NAME), figure.get_suptitle()]))
        place = {"y": 1.04} if tight else {}
        figure.suptitle(title, fontsize=9, color=SOFT, x=0.01, ha="left", **place)
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
