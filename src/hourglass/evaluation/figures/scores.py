"""Figures of scores: histogram, ROC and precision-recall curves, and drift."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.detection.threshold import Threshold
from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, log_bins, log_ticks

if TYPE_CHECKING:
    from hourglass.detection.drift.detection import Drift

# Two distributions in one histogram differ without colours.
FILLED: dict[str, Any] = {"color": NORMAL, "alpha": 0.55, "fill": True}
OUTLINED: dict[str, Any] = {"color": ANOMALY, "linewidth": 1.6}
MAX_CURVE_POINTS = 4000  # more than the pixel columns of a screen


def histogram(
    scores: np.ndarray, anomaly: np.ndarray, threshold: Threshold, unit: str = "samples"
) -> Figure:
    """Draw histograms of normal and anomalous scores on a logarithmic axis, and the threshold."""
    figure, axes = _new_axes("score", unit)
    bins = log_bins(scores, 60)
    for mask, name, style in ((~anomaly, "normal", FILLED), (anomaly, "anomalous", OUTLINED)):
        if mask.any():
            clipped = np.clip(scores[mask], bins[0], bins[-1])
            axes.stairs(*np.histogram(clipped, bins), label=name, **style)
    _draw_threshold(axes, threshold)
    log_ticks(axes)
    axes.legend(frameon=False)
    return figure


def roc(curve: pd.DataFrame, auroc: float) -> Figure:
    """Draw the ROC curve, and the diagonal, which is the curve of random scores."""
    figure, axes = _new_axes("false-positive rate", "recall")
    axes.plot(curve.false_positive_rate, curve.recall, color=ANOMALY, label=f"AUROC {auroc:.4f}")
    axes.plot([0, 1], [0, 1], color=MARK, linestyle=":", label="chance")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return figure


def precision_recall(curve: pd.DataFrame, average_precision: float, prevalence: float) -> Figure:
    """Draw precision over recall, and the prevalence, which is the precision of random scores."""
    figure, axes = _new_axes("recall", "precision")
    label = f"average precision {average_precision:.4f}"
    axes.step(curve.recall, curve.precision, where="pre", color=ANOMALY, label=label)
    axes.axhline(prevalence, color=MARK, linestyle=":", label=f"prevalence {prevalence:.4f}")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(frameon=False, loc="lower left")
    return figure


def drift_figure(
    calibration: np.ndarray, scores: np.ndarray, threshold: Threshold, drift: "Drift"
) -> Figure:
    """Draw the distributions of calibration and new scores, and the martingale per sample."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_distributions(left, calibration, scores[np.isfinite(scores)], threshold)
    _draw_martingale(right, drift)
    for axes, title in ((left, "Score distributions"), (right, "Evidence of drift")):
        axes.set_title(title, loc="left", fontsize=11, pad=24)
        axes.spines[["top", "right"]].set_visible(False)
        # The legend is above the axes, as histograms and curves may fill any corner.
        legend = axes.legend(
            frameon=False, fontsize=8, ncols=3, columnspacing=1.2, borderaxespad=0.2,
            loc="lower left", bbox_to_anchor=(-0.01, 1.0),
        )  # fmt: skip
        legend.set_in_layout(False)  # a long legend would shrink the axes
    return figure


def _draw_distributions(
    axes: Axes, calibration: np.ndarray, scores: np.ndarray, threshold: Threshold
) -> None:
    edges = log_bins(np.concatenate([calibration, scores]), 50)
    samples = {"calibration": (calibration, FILLED), "new samples": (scores, OUTLINED)}
    for name, (values, style) in samples.items():
        clipped, label = np.clip(values, edges[0], edges[-1]), f"{name} ({len(values):,})"
        counts, _ = np.histogram(clipped, edges)
        axes.stairs(counts / len(values), edges, label=label, **style)
    _draw_threshold(axes, threshold)
    axes.set(xscale="log", xlabel="score", ylabel="fraction of samples")


def _draw_martingale(axes: Axes, drift: "Drift") -> None:
    indices = np.unique(np.linspace(0, drift.samples - 1, MAX_CURVE_POINTS).astype(int))
    axes.plot(drift.positions[indices], drift.log10_martingale[indices], color=NORMAL)
    bound = -np.log10(drift.alpha)
    label = f"alarm (probability without drift at most {drift.alpha:.6g})"
    axes.axhline(bound, color=MARK, linestyle="--", label=label)
    if drift.alarm_at is not None:
        label = f"sample {drift.alarm_at:,}"
        axes.plot([drift.alarm_at], [bound], "o", color=ANOMALY, label=label)
    axes.set(xlabel="sample, in the order of the file", ylabel="log10 of the martingale")
    axes.margins(y=0.1)


def _draw_threshold(axes: Axes, threshold: Threshold) -> None:
    label = f"threshold {threshold.value:.3g} ({threshold.method})"
    axes.axvline(threshold.value, color=MARK, linestyle="--", label=label)


def _new_axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
