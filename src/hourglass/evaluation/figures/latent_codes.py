"""Figure of the latent codes of a series in two dimensions."""

import numpy as np
from matplotlib.figure import Figure

from hourglass.data.columns.arrow_cells import SECONDS_PER_DAY
from hourglass.evaluation.figures.style import ANOMALY, NORMAL
from hourglass.evaluation.timeline import Timeline

MAX_POINTS = 5000


def latent_codes(series: Timeline) -> Figure:
    """Draw the two first principal components of the rows' latent codes, of evenly spaced rows.

    With labels, anomalies differ from normal rows. Without, the colour is the time of the day if
    the times are dates of several days, else the time.
    """
    rows = np.unique(np.linspace(0, len(series.z) - 1, MAX_POINTS).astype(int))
    points, anomaly, time = _principal(series.z[rows]), series.anomaly[rows], series.time[rows]
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.spines[["top", "right"]].set_visible(False)
    if anomaly.any():
        axes.plot(*points[~anomaly].T, ".", color=NORMAL, markersize=3, alpha=0.5, label="normal")
        axes.plot(*points[anomaly].T, "x", color=ANOMALY, markersize=4, label="anomalous")
        axes.legend(frameon=False, fontsize=8)
        return figure
    has_days = series.is_date and np.ptp(time) > SECONDS_PER_DAY > 2 * series.step
    colour = time % SECONDS_PER_DAY / 3600 if has_days else time
    colours = "twilight" if has_days else "viridis"
    x, y = points.T
    shown = axes.scatter(x, y, c=colour, s=5, cmap=colours, linewidths=0)
    bar = figure.colorbar(shown, ax=axes, label="hour of the day (UTC)" if has_days else "")
    if not has_days:
        bar.set_ticks([time[0], time[-1]], labels=[series.time_text(t) for t in time[[0, -1]]])
    return figure


def _principal(z: np.ndarray) -> np.ndarray:
    """Return the two first principal components of codes, (n, d) -> (n, 2), 0 if d is 1."""
    centred = z.astype(np.float64) - z.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, np.argsort(-values)[:2]]
    largest = np.abs(axes).argmax(0)
    axes = axes * np.sign(axes[largest, range(axes.shape[1])])  # else the sign is arbitrary
    points = centred @ axes
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
