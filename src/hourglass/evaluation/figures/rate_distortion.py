"""Reconstruction error over bytes a sample, a line a method."""

from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, literal

# Markers and dashes tell lines apart without colours.
LOOKS: list[dict[str, Any]] = [
    {"color": colour, "marker": marker, "linestyle": dashes}
    for (marker, dashes), colour in zip(
        [("o", "-"), ("s", "-"), ("D", "--"), ("v", "--"), ("x", ":"), ("^", "-."), ("+", "-.")],
        cycle([NORMAL, ANOMALY, MARK, "#5b9a68"]),
        strict=False,
    )
]


def rates(panels: dict[str, pd.DataFrame]) -> Figure:
    """Draw tables of `hourglass.studies.compression.rate_distortion` side by side, on logarithmic axes.

    Their titles are the keys. A method looks alike in all of them; one that loses nothing, which
    has no place on the axis of errors, is a vertical line.
    """
    methods = pd.concat(panels.values()).method.unique()
    looks = dict(zip(methods, cycle(LOOKS), strict=False))
    figure = Figure(figsize=(1 + 5 * len(panels), 4.6), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, table) in zip(places, panels.items(), strict=True):
        axes.set_title(literal(title), fontsize=11)
        _draw(axes, table, looks)
    handles = {
        label: handle
        for axes in places
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    lines, names, columns = list(handles.values()), list(handles), 2 * len(panels)
    figure.legend(
        lines, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    return figure


def _draw(axes: Axes, table: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    for method, rows in table.groupby("method", sort=False):
        look, rows = looks[str(method)], rows.sort_values("bytes")
        name = literal(str(method))
        if (rows.reconstruction_error > 0).all():
            axes.plot(rows.bytes, rows.reconstruction_error, markersize=5, label=name, **look)
        else:
            style = look | {"marker": "", "linestyle": ":"}
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
