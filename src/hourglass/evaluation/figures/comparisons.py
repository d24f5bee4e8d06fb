"""Figures that compare networks with classical methods: restoration and compression."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from hourglass.evaluation.figures.style import ANOMALY, COLOURS, MARK, NORMAL, literal

# Lines also differ by dashes and markers, so that they are distinguishable without colours.
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "x")
QUALITY_LABELS = {"PSNR": "PSNR (dB)", "SSIM": "SSIM"}
RATE_STYLES: list[dict[str, Any]] = [
    {"color": colour, "marker": marker, "linestyle": dashes}
    for (marker, dashes), colour in zip(
        [("o", "-"), ("s", "-"), ("D", "--"), ("v", "--"), ("x", ":"), ("^", "-."), ("+", "-.")],
        cycle([NORMAL, ANOMALY, MARK, COLOURS[2]]),
        strict=False,
    )
]


def restoration(table: pd.DataFrame, networks: Sequence[str]) -> Figure:
    """Draw PSNR and SSIM over the noise factor, one line per method.

    `table` has the columns level, method, PSNR and SSIM of one task; missing values are not drawn.
    Methods in `networks` have filled markers, classical methods have hollow ones.
    """
    methods = table.method.unique()
    styles: dict[str, dict[str, Any]] = {}
    for learned, colour, face in ((False, MARK, "white"), (True, ANOMALY, ANOMALY)):
        names = [name for name in methods if (name in networks) == learned]
        for name, dashes, marker in zip(names, cycle(DASHES), cycle(MARKERS), strict=False):
            line = {"color": colour, "linestyle": dashes, "marker": marker}
            styles[name] = {**line, "markerfacecolor": face, "label": literal(name)}
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    for axes, (column, label) in zip(figure.subplots(1, 2), QUALITY_LABELS.items(), strict=True):
        for name, style in styles.items():
            rows = table[table.method == name].sort_values("level")
            axes.plot(rows.level, rows[column].astype(float), markersize=5, **style)
        axes.set(xlabel="noise factor", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, handlelength=4)
    return figure


def rates(panels: dict[str, pd.DataFrame]) -> Figure:
    """Draw rate-distortion tables side by side on logarithmic axes, titled by their keys.

    The tables are those of `hourglass.studies.compression.rate_distortion`. A method has the same
    style in all panels. A lossless method, whose error has no logarithm, is a vertical line.
    """
    methods = pd.concat(panels.values()).method.unique()
    styles = dict(zip(methods, cycle(RATE_STYLES), strict=False))
    figure = Figure(figsize=(1 + 5 * len(panels), 4.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, table) in zip(grid, panels.items(), strict=True):
        axes.set_title(literal(title), fontsize=11)
        _draw_rates(axes, table, styles)
    handles = {
        label: handle
        for axes in grid
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    lines, names, columns = list(handles.values()), list(handles), 2 * len(panels)
    figure.legend(
        lines, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    return figure


def _draw_rates(axes: Axes, table: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    for method, rows in table.groupby("method", sort=False):
        style, rows = styles[str(method)], rows.sort_values("bytes")
        name = literal(str(method))
        if (rows.reconstruction_error > 0).all():
            axes.plot(rows.bytes, rows.reconstruction_error, markersize=5, label=name, **style)
        else:
            style = style | {"marker": "", "linestyle": ":"}
            axes.axvline(rows.bytes.iloc[0], label=f"{name} (no loss)", **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(xlabel="bytes a sample", ylabel="reconstruction error")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
