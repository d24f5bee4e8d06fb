"""Figures of a series over time: channels with their reconstructions, scores and alarms."""

import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from hourglass.data.columns.arrow_cells import SECONDS_PER_DAY
from hourglass.evaluation.envelope import Grid
from hourglass.evaluation.figures.style import ANOMALY, FAINT, MARK, NORMAL, literal
from hourglass.evaluation.metrics.events import runs
from hourglass.evaluation.timeline import Channel, Timeline

COLUMNS = 1400  # of an envelope; more than the pixel columns of a figure
MAX_LEVELS = 8  # of a category with named ticks
MAX_LINEAR_RATIO = 20  # of the highest score to the threshold
LARGEST = 1e300  # of a drawn value, so that the margins of an axis are finite
# Seconds of the dates that Matplotlib can draw, from year 1 to 9999.
FIRST_DATE, LAST_DATE = -62_135_596_800, 253_402_300_799


def timeline(series: Timeline) -> Figure:
    """Draw a panel per channel, with input and reconstruction, and a panel of scores below them.

    Long series are drawn as envelopes, which keep every peak. Lines break at gaps. Labelled
    anomalies are shaded, and alarms marked by dots.
    """
    grid = Grid.over(series.time, series.run, COLUMNS, series.step)
    is_date = series.is_date and _is_drawable(series.time)
    x = grid.time / SECONDS_PER_DAY if is_date else grid.time
    channels = series.channels()
    heights = [1.0] * len(channels) + [1.5]
    figure = Figure(figsize=(12, 1.1 + 1.15 * sum(heights)), layout="constrained")
    panels = figure.subplots(
        len(heights), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    labelled = grid.any(series.anomaly)
    for axes in panels:
        _shade(axes, x, labelled)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes, channel in zip(panels, channels, strict=False):
        _draw_channel(axes, x, grid, channel)
    _draw_scores(panels[-1], x, grid, series)
    _label_time(panels[-1], series, is_date)
    figure.align_ylabels(panels)
    figure.suptitle(literal(series.name, 80), fontsize=9)
    found = [axes.get_legend_handles_labels() for axes in (panels[0], panels[-1])]
    by_label = {label: handle for pair in found for handle, label in zip(*pair, strict=True)}
    figure.legend(
        by_label.values(), by_label.keys(), loc="outside upper right", ncols=len(by_label),
        frameon=False, fontsize=8,
    )  # fmt: skip
    return figure


def score_is_logarithmic(score: np.ndarray, threshold: float) -> bool:
    """Return whether scores, (T,), are drawn on a logarithmic axis.

    On a linear axis, a score far above the threshold would press all others to the ground.
    """
    finite = score[np.isfinite(score)]
    is_positive = threshold > 0 and bool((finite > 0).all())
    return is_positive and bool((finite > MAX_LINEAR_RATIO * threshold).any())


def _draw_channel(axes: Axes, x: np.ndarray, grid: Grid, channel: Channel) -> None:
    _draw_envelope(axes, x, grid, channel.x, color=MARK, linewidth=0.9, label="input")
    style = {"color": ANOMALY, "linewidth": 0.9, "alpha": 0.85, "label": "reconstruction"}
    _draw_envelope(axes, x, grid, channel.output, **style)
    axes.set_ylabel(literal(channel.column.name, 18), fontsize=8)
    names = channel.levels
    if 0 < len(names) <= MAX_LEVELS:
        axes.set_yticks(range(len(names)), [literal(name, 12) for name in names])


def _draw_scores(axes: Axes, x: np.ndarray, grid: Grid, series: Timeline) -> None:
    _draw_envelope(axes, x, grid, series.score, color=NORMAL, linewidth=0.9, label="score")
    label = f"threshold {series.threshold:.3g}"
    axes.axhline(series.threshold, color=MARK, linestyle="--", linewidth=1, label=label)
    high = grid.low_and_high(series.score)[1]
    columns = grid.any(series.alarm)
    if columns.any():
        axes.plot(
            x[columns], high[columns], "o", color=ANOMALY, markersize=2.5, label="alarm", zorder=3
        )
    if score_is_logarithmic(series.score, series.threshold):
        axes.set_yscale("log")
    axes.set_ylabel("score", fontsize=8)


def _draw_envelope(axes: Axes, x: np.ndarray, grid: Grid, values: np.ndarray, **style: Any) -> None:
    low, high = (np.clip(end, -LARGEST, LARGEST) for end in grid.low_and_high(values))
    known = ~np.isnan(low)
    alone = known & ~np.append(False, known[:-1]) & ~np.append(known[1:], False)
    axes.plot(np.repeat(x, 2), np.stack([low, high], 1).ravel(), **style)
    if alone.any():  # a row between two gaps is no line
        axes.plot(x[alone], high[alone], ".", color=style["color"], markersize=2)


def _shade(axes: Axes, x: np.ndarray, labelled: np.ndarray) -> None:
    """Shade the stretches with labelled anomalies, each at least a column wide."""
    starts, ends = runs(labelled)
    if len(starts):
        half = (x[1] - x[0]) / 2 if len(x) > 1 else 0.5
        spans = np.stack([x[starts] - half, x[ends - 1] - x[starts] + 2 * half], 1)
        axes.broken_barh(
            spans.tolist(), (0, 1), transform=axes.get_xaxis_transform(), facecolor=FAINT,
            edgecolor=FAINT, linewidth=0.5, alpha=0.7, label="labelled anomaly", zorder=0,
        )  # fmt: skip


def _label_time(axes: Axes, series: Timeline, is_date: bool) -> None:
    axes.margins(x=0.005)
    if is_date:
        zone = datetime.UTC
        locator = AutoDateLocator(tz=zone, minticks=4, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
        axes.xaxis.get_offset_text().set_fontsize(8)
    axes.set_xlabel(literal(series.time_column.name), fontsize=8)


def _is_drawable(time: np.ndarray) -> bool:
    return bool(time[0] >= FIRST_DATE and time[-1] <= LAST_DATE)
