"""Plots of one cell: score histogram, ROC and precision-recall curve, and training curves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from hourglass.core.paths import Cell
from hourglass.core.suggestions import counted
from hourglass.evaluation.report.glossary import score_text, share_text
from hourglass.evaluation.report.svg import Axis, Plot, marker_path

BINS = 40  # of the score histogram
DOT = marker_path(0)
UNIT = (-0.02, 1.02)  # the ends of an axis from 0 to 1, with a margin


@dataclass(frozen=True)
class Chart:
    """A plot with its title and legend."""

    title: str
    legend: str
    svg: Markup


def cell_charts(
    cell: Cell,
    test: pd.DataFrame,
    threshold: float,
    metrics: dict[str, float],
    unit: str = "samples",
) -> list[Chart]:
    """Return the plots of a cell.

    `test` holds the test split in scores.parquet, and `unit` is the word for its samples. ROC and
    precision-recall curves exist only if it has normal and anomalous samples.
    """
    plots = [_histogram(cell, test, threshold, unit)]
    if "AUROC" in metrics:
        plots += [_roc(cell, metrics), _precision_recall(cell, metrics)]
    return [*plots, _training(cell)]


def _histogram(cell: Cell, test: pd.DataFrame, threshold: float, unit: str) -> Chart:
    groups = {"normal": test[~test.anomaly], "anomalous": test[test.anomaly]}
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    x = Axis.around("score", np.append(test.score, threshold), margin=0.0)
    space = np.geomspace if x.log else np.linspace
    edges = space(x.low, x.high, BINS + 1)
    edges[[0, -1]] = x.low, x.high
    counts = {name: np.histogram(rows.score, edges)[0] for name, rows in groups.items()}
    highest = max(int(values.max()) for values in counts.values())
    plot = Plot(x, Axis(unit, 0, 1.04 * max(highest, 1)))
    for name, values in counts.items():
        plot.bars(edges, values, name, name)
    plot.vertical(threshold, "mark dashed", f"threshold {score_text(threshold)}")
    medians = [
        f"{counted(len(rows), f'{name} {unit[:-1]}')}, median {score_text(rows.score.median())}, "
        f"{rows.alarm.sum()} of them above the threshold"
        for name, rows in groups.items()
    ]
    label = (
        f"Scores of {cell.title}: {'; '.join(medians)}. The threshold is {score_text(threshold)}."
    )
    kinds = "Filled: normal. Outline: anomalous. " if len(groups) > 1 else ""
    return Chart("Scores", f"{kinds}Dashed: the threshold.", plot.svg(label))


def _roc(cell: Cell, metrics: dict[str, float]) -> Chart:
    plot = unit_plot("false-alarm rate", "recall")
    points = read_curve(cell / "evaluate/roc.csv")
    plot.line(points[0], points[1], "anomalous curve", "ROC curve")
    plot.line([0, 1], [0, 1], "mark dotted", "chance")
    deployed = _mark_deployed(plot, metrics, "false_alarm_rate", "recall")
    label = f"ROC curve of {cell.title}. AUROC is {share_text(metrics['AUROC'])}{deployed}."
    return Chart("ROC", _legend("chance", deployed), plot.svg(label))


def _precision_recall(cell: Cell, metrics: dict[str, float]) -> Chart:
    plot = unit_plot("recall", "precision")
    points = read_curve(cell / "evaluate/precision_recall.csv")
    plot.line(points[0], points[1], "anomalous curve", "precision over recall", step=True)
    chance = metrics["prevalence"]
    plot.line([0, 1], [chance, chance], "mark dotted", f"prevalence {share_text(chance)}")
    deployed = _mark_deployed(plot, metrics, "recall", "precision")
    average = share_text(metrics["average_precision"])
    label = (
        f"Precision over recall of {cell.title}. Average precision is {average}, chance "
        f"{share_text(chance)}{deployed}."
    )
    return Chart("Precision and recall", _legend("the prevalence", deployed), plot.svg(label))


def _training(cell: Cell) -> Chart:
    history = read_history(cell)
    epoch, training, validation = history[["epoch", "train_loss", "validation_error"]].to_numpy().T
    losses = np.append(training, validation)
    plot = Plot(Axis.around("epoch", epoch), Axis.around("loss", losses[np.isfinite(losses)]))
    plot.line(epoch, training, "normal curve dashed", "training loss")
    plot.line(epoch, validation, "anomalous curve", "validation error")
    best, error = best_epoch(history)
    title = f"best epoch {best:.0f}, validation error {score_text(error)}"
    plot.marker(best, error, DOT, "mark", title)
    label = f"Training of {cell.title} over {counted(len(history), 'epoch')}; {title}."
    legend = "Solid: validation error. Dashed: training loss. Dot: the best epoch."
    return Chart("Training", legend, plot.svg(label))


def read_history(cell: Cell) -> pd.DataFrame:
    """Return the history of a training without the epochs of pre-training."""
    history = pd.read_csv(cell / "train/history.csv")
    return history[history.phase.isna()] if "phase" in history else history


def best_epoch(history: pd.DataFrame) -> tuple[float, float]:
    """Return the epoch with the lowest validation error, and that error."""
    values = history[["epoch", "validation_error"]].to_numpy()
    epoch, error = values[np.nanargmin(values[:, 1])]
    return float(epoch), float(error)


def read_curve(path: Path) -> np.ndarray:
    """Read a ROC or precision-recall curve, (2, n)."""
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).T


def unit_plot(x: str, y: str) -> Plot:
    """Return a plot of two shares."""
    return Plot(Axis(x, *UNIT), Axis(y, *UNIT))


def _legend(dotted: str, deployed: str) -> str:
    return f"Dotted: {dotted}." + (" Dot: the deployed threshold." if deployed else "")


def _mark_deployed(plot: Plot, metrics: dict[str, float], x: str, y: str) -> str:
    """Mark the deployed threshold; return its metrics in words, or "" if one is undefined."""
    if x not in metrics or y not in metrics:
        return ""
    names = [name.replace("false_alarm", "false-alarm").replace("_", " ") for name in (x, y)]
    text = f"{names[0]} is {share_text(metrics[x])}, {names[1]} {share_text(metrics[y])}"
    plot.marker(metrics[x], metrics[y], DOT, "mark", f"at the threshold {text}")
    return f"; at the threshold {text}"
