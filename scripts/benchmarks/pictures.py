"""The figures of the benchmark page."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.cases import BARE, COMPARED, OURS, PYOD
from benchmarks.ratios import Tables, number, of_case, ratio
from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.style import COLOURS, FAINT, MARK, NORMAL, log_ticks

PANELS = {"dense": "dense, MNIST", "convolutional": "convolutional, MNIST", "card": "card table"}


def draw(folder: Path, tables: Tables) -> None:
    """Write all figures to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save(training(tables.measurements), folder / "training.png")
    save(batches(tables.measurements), folder / "batches.png")


def training(table: pd.DataFrame) -> Figure:
    """Draw the speed of Hourglass in multiples of each peer at batch 256, with the range."""
    bars = [
        (f"{contestant}: {PANELS[network]}", values)
        for network in PANELS
        for contestant, values in _ratios(of_case(table, "train", network, COMPARED))
    ][::-1]
    figure = Figure(figsize=(8, 1 + 0.32 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color=MARK, linestyle=":", zorder=0)
    for place, (_, values) in enumerate(bars):
        median = float(np.median(values))
        axes.plot([min(values), max(values)], [place, place], color=NORMAL, linewidth=2.5)
        axes.plot([median], [place], "o", color=NORMAL)
        axes.annotate(
            number(median),
            (max(values), place),
            (8, 0),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    log_ticks(axes)
    axes.set(xlabel="speed of Hourglass in multiples of the peer")
    axes.margins(x=0.2)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _ratios(rows: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    names = [name for name in rows.contestant.unique() if name != OURS.name]
    return [(name, values) for name in names if len(values := ratio(rows, name))]


def batches(table: pd.DataFrame) -> Figure:
    """Draw samples per second over the batch size, one panel per network."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    colours: dict[str, str] = {OURS.name: COLOURS[1], BARE.name: MARK, PYOD.name: COLOURS[2]}
    lines: dict[str, Line2D] = {}
    for axes, (network, title) in zip(panels, PANELS.items(), strict=True):
        chosen = table[(table.task == "train") & (table.network == network)]
        chosen = chosen[(chosen.device == "cpu") & (chosen.batch_size > 0)]
        for contestant, own in chosen.groupby("contestant", sort=False):
            speed = (own.samples / own.seconds).groupby(own.batch_size)
            if speed.median().notna().sum() > 1:
                colour = colours.setdefault(str(contestant), COLOURS[len(colours) % len(COLOURS)])
                lines[str(contestant)] = _line(axes, speed, colour)
        _batch_axes(axes, title, sorted(chosen.batch_size.unique()))
    panels[0].set_ylabel("samples per second")
    figure.legend(lines.values(), list(lines), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _line(axes: Axes, speed: "pd.api.typing.SeriesGroupBy", colour: str) -> Line2D:
    """Draw the median over the batch size in a band of the range; return the line."""
    median = speed.median()
    axes.fill_between(median.index, speed.min(), speed.max(), color=colour, alpha=0.2, linewidth=0)
    (line,) = axes.plot(median.index, median, color=colour, marker="o", markersize=4)
    return line


def _batch_axes(axes: Axes, title: str, sizes: list[int]) -> None:
    axes.set(title=title, xlabel="batch", xscale="log")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
