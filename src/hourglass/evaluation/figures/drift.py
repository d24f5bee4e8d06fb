"""Two distributions of scores, and the evidence against their being one."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hourglass.detection.detector import Detector
from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, log_bins

if TYPE_CHECKING:
    from hourglass.detection.drift.report import Drift

POINTS = 4000  # of a curve: more than a screen has columns


def drifting(detector: Detector, scores: np.ndarray, found: "Drift") -> Figure:
    """Draw calibration and new scores beside each other, and the martingale over the stream."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _distributions(left, detector, scores[np.isfinite(scores)])
    _evidence(right, found)
    for axes, title in ((left, "Scores, then and now"), (right, "Evidence of drift")):
        axes.set_title(title, loc="left", fontsize=11, pad=24)
        axes.spines[["top", "right"]].set_visible(False)
        # Above the axes, as neither histogram nor curve leaves a corner free for sure.
        legend = axes.legend(
            frameon=False, fontsize=8, ncols=3, columnspacing=1.2, borderaxespad=0.2,
            loc="lower left", bbox_to_anchor=(-0.01, 1.0),
        )  # fmt: skip
        legend.set_in_layout(False)  # else a long one would make the axes narrow
    return figure


def _distributions(axes: Axes, detector: Detector, scores: np.ndarray) -> None:
    edges = log_bins(np.concatenate([detector.calibration, scores]), 50)
    parts = {"calibration": (detector.calibration, NORMAL), "new samples": (scores, ANOMALY)}
    for name, (values, colour) in parts.items():
        shown, label = np.clip(values, edges[0], edges[-1]), f"{name} ({len(values):,})"
        weights = np.full(len(values), 1 / len(values))
        axes.hist(shown, edges.tolist(), weights=weights, color=colour, alpha=0.55, label=label)
    threshold = detector.threshold
    label = f"threshold {threshold.value:.3g} ({threshold.method})"
    axes.axvline(threshold.value, color=MARK, linestyle="--", label=label)
    axes.set(xscale="log", xlabel="score", ylabel="share of the samples")


def _evidence(axes: Axes, found: "Drift") -> None:
    chosen = np.unique(np.linspace(0, found.samples - 1, POINTS).astype(int))
    axes.plot(found.positions[chosen], found.log10_martingale[chosen], color=NORMAL)
    bound = -np.log10(found.alpha)
    label = f"alarm, without drift with a chance of {found.alpha:.6g} at most"
    axes.axhline(bound, color=MARK, linestyle="--", label=label)
    if found.alarm_at is not None:
        label = f"sample {found.alarm_at:,}"
        axes.plot([found.alarm_at], [bound], "o", color=ANOMALY, label=label)
    axes.set(xlabel="sample, in the order of the file", ylabel="log10 of the martingale")
    axes.margins(y=0.1)
