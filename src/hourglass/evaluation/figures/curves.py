"""Scores as a histogram, and the curves over all thresholds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, log_bins, log_ticks


def histogram(scores: np.ndarray, anomaly: np.ndarray, threshold: Threshold) -> Figure:
    """Draw the scores of normal and anomalous samples on a logarithmic axis, and the threshold."""
    figure, axes = _axes("score", "samples")
    bins = log_bins(scores, 60)
    for mask, colour, name in ((~anomaly, NORMAL, "normal"), (anomaly, ANOMALY, "anomalous")):
        if mask.any():
            shown = np.clip(scores[mask], bins[0], bins[-1])
            axes.hist(shown, bins.tolist(), color=colour, alpha=0.6, label=name)
    label = f"threshold {threshold.value:.3g} ({threshold.method})"
    axes.axvline(threshold.value, color=MARK, linestyle="--", label=label)
    log_ticks(axes)
    axes.legend(frameon=False)
    return figure


def roc(curve: pd.DataFrame, auroc: float) -> Figure:
    """Draw the ROC curve beside chance."""
    figure, axes = _axes("false-positive rate", "recall")
    axes.plot(curve.false_positive_rate, curve.recall, color=ANOMALY, label=f"AUROC {auroc:.4f}")
    axes.plot([0, 1], [0, 1], color=MARK, linestyle=":", label="chance")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return figure


def precision_recall(curve: pd.DataFrame, average_precision: float, prevalence: float) -> Figure:
    """Draw precision over recall beside chance, which is the prevalence."""
    figure, axes = _axes("recall", "precision")
    label = f"average precision {average_precision:.4f}"
    axes.step(curve.recall, curve.precision, where="pre", color=ANOMALY, label=label)
    axes.axhline(prevalence, color=MARK, linestyle=":", label=f"prevalence {prevalence:.4f}")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(frameon=False, loc="lower left")
    return figure


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
