"""The curves of one cell: scores, ROC, precision over recall."""

import csv
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import LogLocator, MaxNLocator

from hourglass.core.paths import Cell
from hourglass.evaluation.report.formatting import score, share
from hourglass.evaluation.report.svg import ANOMALY, INK, NORMAL, inline

BARS = 40
FAR = 6  # times as high: on a logarithmic axis, less might hold one tick or none
TICKS = (0, 0.5, 1)  # of a share; few, for each takes a millisecond
DOT = (0.03, 0.042)  # width and height, a circle in axes of this shape
PIXELS = 400  # along an axis; points that are closer together are one


@dataclass(frozen=True)
class Scores:
    """Hold the scores of the test split, and the threshold above which one is an alarm."""

    values: np.ndarray  # (N,) float
    anomaly: np.ndarray  # (N,) bool
    alarm: np.ndarray  # (N,) bool
    threshold: float


@dataclass(frozen=True)
class Curve:
    """Show a plot, what it is, and how to read it."""

    title: str
    key: str
    svg: Markup


def curves(cell: Cell, scores: Scores, metrics: dict[str, float]) -> list[Curve]:
    """Return the plots of a cell: the scores, and where both kinds are there, ROC and precision."""
    found = [_histogram(scores)]
    if "AUROC" in metrics:
        found += [_roc(cell, metrics), _precision_recall(cell, metrics)]
    return found


def _histogram(scores: Scores) -> Curve:
    figure, axes = _axes("score", "samples")
    values, groups = scores.values, {"normal": ~scores.anomaly, "anomalous": scores.anomaly}
    groups = {name: mask for name, mask in groups.items() if mask.any()}
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    edges = _edges(axes, np.append(values, scores.threshold))
    if "normal" in groups:
        axes.stairs(*np.histogram(values[groups["normal"]], edges), fill=True, color=NORMAL)
    if "anomalous" in groups:
        counts = np.histogram(values[groups["anomalous"]], edges)
        axes.stairs(*counts, color=ANOMALY, linewidth=1.5)
    axes.axvline(scores.threshold, color=INK, linestyle="--", linewidth=1)
    medians = [
        f"{mask.sum()} {name} samples, median {score(np.median(values[mask]))}, "
        f"{scores.alarm[mask].sum()} of them above the threshold"
        for name, mask in groups.items()
    ]
    label = f"Scores of {'; '.join(medians)}. The threshold is {score(scores.threshold)}."
    key = "Filled: normal. Line: anomalous. Dashed: the threshold."
    return Curve(
        "Scores", key if len(groups) > 1 else "Dashed: the threshold.", inline(figure, label)
    )


def _edges(axes: Axes, values: np.ndarray) -> np.ndarray:
    """Return the edges of bars, on a logarithmic axis where positive values are far apart."""
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high < FAR * low:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return np.linspace(low, max(high, low + 1e-9), BARS + 1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 30 * low else (1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    return np.geomspace(low, high, BARS + 1)


def _roc(cell: Cell, metrics: dict[str, float]) -> Curve:
    figure, axes = _axes("false-alarm rate", "recall", unit=True)
    points = _points(cell, "evaluate/roc.csv", "false_positive_rate", "recall")
    axes.plot(*points, color=ANOMALY)
    axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1)
    deployed = _deployed(axes, metrics, "false_alarm_rate", "recall")
    label = f"ROC curve. AUROC is {share(metrics['AUROC'])}{deployed}."
    return Curve("ROC", _key("chance", deployed), inline(figure, label))


def _precision_recall(cell: Cell, metrics: dict[str, float]) -> Curve:
    figure, axes = _axes("recall", "precision", unit=True)
    points = _points(cell, "evaluate/precision_recall.csv", "recall", "precision")
    axes.step(*points, where="pre", color=ANOMALY)
    axes.axhline(metrics["prevalence"], color=INK, linestyle=":", linewidth=1)
    deployed = _deployed(axes, metrics, "recall", "precision")
    average, chance = share(metrics["average_precision"]), share(metrics["prevalence"])
    label = f"Precision over recall. Average precision is {average}, chance {chance}{deployed}."
    return Curve("Precision and recall", _key("the prevalence", deployed), inline(figure, label))


def _key(dotted: str, deployed: str) -> str:
    return f"Dotted: {dotted}." + (" Dot: the deployed threshold." if deployed else "")


def _deployed(axes: Axes, metrics: dict[str, float], x: str, y: str) -> str:
    """Mark where the deployed threshold is; return that in words, nothing where it is nowhere."""
    if x not in metrics or y not in metrics:
        return ""
    # A marker would be drawn by reference to an id.
    place, (width, height) = (metrics[x], metrics[y]), DOT
    axes.add_patch(Ellipse(place, width, height, color=INK, linewidth=0, zorder=3))
    names = [each.replace("false_alarm", "false-alarm").replace("_", " ") for each in (x, y)]
    return f"; at the threshold {names[0]} is {share(metrics[x])}, {names[1]} {share(metrics[y])}"


def _points(cell: Cell, file: str, x: str, y: str) -> np.ndarray:
    """Return a curve, (2, n), without the points that no screen could tell apart."""
    with (cell / file).open(encoding="utf-8", newline="") as rows:
        points = np.array([[float(row[x]), float(row[y])] for row in csv.DictReader(rows)])
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
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=TICKS, yticks=TICKS)
    return figure, axes
