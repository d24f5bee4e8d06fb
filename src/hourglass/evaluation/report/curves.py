"""Plots of one cell as inline SVG: score histogram, ROC and precision-recall curve."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import LogLocator, MaxNLocator

from hourglass.core.paths import Cell
from hourglass.evaluation.report.glossary import score, share

# Placeholder colours, replaced by the colours of the page.
INK, NORMAL, ANOMALY = "#010203", "#020304", "#030405"
PAGE_COLOURS = {INK: "currentColor", NORMAL: "var(--normal)", ANOMALY: "var(--accent)"}
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
DROPPED_ELEMENTS = ("metadata", "defs")  # the date, and a style sheet for the whole page
BINS = 40  # of the score histogram
MIN_LOG_RATIO = 6  # minimum max / min score for a logarithmic axis; below, it may have no tick
UNIT_TICKS = (0, 0.5, 1)  # few, because each tick takes a millisecond to draw
DOT_SIZE = (0.03, 0.042)  # width and height in data units; they make a circle in these axes
PIXELS = 400  # resolution along an axis; points in the same pixel are merged


@dataclass(frozen=True)
class Curve:
    """A plot with its title and legend."""

    title: str
    legend: str
    svg: Markup


def curves(
    cell: Cell, test: pd.DataFrame, threshold: float, metrics: dict[str, float]
) -> list[Curve]:
    """Return the plots of a cell.

    `test` holds the rows of the test split in scores.parquet. ROC and precision-recall curves exist
    only if the test split has normal and anomalous samples.
    """
    plots = [_histogram(test, threshold)]
    if "AUROC" in metrics:
        plots += [_roc(cell, metrics), _precision_recall(cell, metrics)]
    return plots


def _histogram(test: pd.DataFrame, threshold: float) -> Curve:
    figure, axes = _axes("score", "samples")
    groups = {"normal": test[~test.anomaly], "anomalous": test[test.anomaly]}
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    edges = _bin_edges(axes, np.append(test.score, threshold))
    if "normal" in groups:
        axes.stairs(*np.histogram(groups["normal"].score, edges), fill=True, color=NORMAL)
    if "anomalous" in groups:
        axes.stairs(*np.histogram(groups["anomalous"].score, edges), color=ANOMALY, linewidth=1.5)
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
    medians = [
        f"{len(rows)} {name} samples, median {score(rows.score.median())}, "
        f"{rows.alarm.sum()} of them above the threshold"
        for name, rows in groups.items()
    ]
    label = f"Scores of {'; '.join(medians)}. The threshold is {score(threshold)}."
    kinds = "Filled: normal. Line: anomalous. " if len(groups) > 1 else ""
    return Curve("Scores", f"{kinds}Dashed: the threshold.", inline_svg(figure, label))


def _bin_edges(axes: Axes, values: np.ndarray) -> np.ndarray:
    """Return the bin edges, (BINS + 1,), and set the scale and ticks of the horizontal axis.

    The scale is logarithmic if all values are positive and max / min is at least MIN_LOG_RATIO.
    """
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high < MIN_LOG_RATIO * low:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return np.linspace(low, max(high, low + 1e-9), BINS + 1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 30 * low else (1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    return np.geomspace(low, high, BINS + 1)


def _roc(cell: Cell, metrics: dict[str, float]) -> Curve:
    figure, axes = _axes("false-alarm rate", "recall", unit=True)
    axes.plot(*_points(cell / "evaluate/roc.csv"), color=ANOMALY)
    axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1)
    deployed = _mark_deployed(axes, metrics, "false_alarm_rate", "recall")
    label = f"ROC curve. AUROC is {share(metrics['AUROC'])}{deployed}."
    return Curve("ROC", _legend("chance", deployed), inline_svg(figure, label))


def _precision_recall(cell: Cell, metrics: dict[str, float]) -> Curve:
    figure, axes = _axes("recall", "precision", unit=True)
    axes.step(*_points(cell / "evaluate/precision_recall.csv"), where="pre", color=ANOMALY)
    axes.axhline(metrics["prevalence"], color=INK, linestyle=":", linewidth=1)
    deployed = _mark_deployed(axes, metrics, "recall", "precision")
    average, chance = share(metrics["average_precision"]), share(metrics["prevalence"])
    label = f"Precision over recall. Average precision is {average}, chance {chance}{deployed}."
    legend = _legend("the prevalence", deployed)
    return Curve("Precision and recall", legend, inline_svg(figure, label))


def _legend(dotted: str, deployed: str) -> str:
    return f"Dotted: {dotted}." + (" Dot: the deployed threshold." if deployed else "")


def _mark_deployed(axes: Axes, metrics: dict[str, float], x: str, y: str) -> str:
    """Mark the deployed threshold; return its metrics in words, or "" if one is undefined."""
    if x not in metrics or y not in metrics:
        return ""
    # A marker in SVG refers to an id, and ids are removed; an ellipse needs none.
    width, height = DOT_SIZE
    dot = Ellipse((metrics[x], metrics[y]), width, height, color=INK, linewidth=0, zorder=3)
    axes.add_patch(dot)
    names = [name.replace("false_alarm", "false-alarm").replace("_", " ") for name in (x, y)]
    return f"; at the threshold {names[0]} is {share(metrics[x])}, {names[1]} {share(metrics[y])}"


def _points(path: Path) -> np.ndarray:
    """Read a curve, (2, n), and drop consecutive points in the same pixel."""
    points = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    points = (points * PIXELS).round() / PIXELS
    moved = np.append(True, (np.diff(points, axis=0) != 0).any(1))
    return points[moved].T


def _axes(x: str, y: str, unit: bool = False) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 3))
    axes = figure.add_axes((0.14, 0.16, 0.83, 0.8))
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.tick_params(left=False, bottom=False, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.grid(axis="both" if unit else "y", color=INK, alpha=0.15, linewidth=0.8)
    axes.set_axisbelow(True)
    if unit:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=UNIT_TICKS, yticks=UNIT_TICKS)
    return figure, axes


def inline_svg(figure: Figure, label: str) -> Markup:
    """Return a figure as an `svg` element with the page's fonts and colours.

    `label` is the text alternative. Ids are removed, because two plots on a page could share them.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hourglass"}):
        figure.savefig(buffer, format="svg", transparent=True)
    ElementTree.register_namespace("", SVG_NAMESPACE)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in DROPPED_ELEMENTS:
                parent.remove(child)
            _clean(child)
    attributes = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    root.attrib.clear()
    root.attrib.update(attributes)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(element: ElementTree.Element) -> None:
    """Remove ids, white space and fonts, and replace placeholder colours."""
    for name in ("id", "clip-path"):
        element.attrib.pop(name, None)
    if style := element.attrib.get("style"):
        for placeholder, colour in PAGE_COLOURS.items():
            style = style.replace(placeholder, colour)
        element.attrib["style"] = re.sub(r"font-family: [^;]*; ", "", style)
    if element.text and not element.text.strip():
        element.text = None
    element.tail = None
