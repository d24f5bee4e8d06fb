"""Figures of a study: Optuna's, and the Pareto front of error against latent dimension."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, save
from hourglass.tuning.best_trial import BestTrial

MIN_COMPLETE_TRIALS = 4  # for Optuna's figures
MAX_CONTOUR_SETTINGS = 6  # a contour plot has one panel per pair of settings


def draw_study(study: optuna.Study, names: Sequence[str], best: BestTrial, folder: Path) -> None:
    """Draw the figures of a study into a folder.

    A study with one objective has history, importance, slice and contour; a study with two has the
    Pareto front. `names` are those of the objectives. Figures that need more trials are omitted.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    figures: dict[str, Figure] = {}
    if best.front and len(complete) > 1:
        figures["pareto"] = _pareto_front(complete, best, names[0])
    elif not best.front and len(complete) >= MIN_COMPLETE_TRIALS:
        figures = _optuna_figures(study, complete, names[0])
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png", tight=True, name=study.study_name)


def _pareto_front(complete: list[FrozenTrial], best: BestTrial, name: str) -> Figure:
    """Draw error, called `name`, against latent dimension: all trials, the front and its knee."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    errors, sizes = zip(*(trial.values for trial in complete), strict=True)
    axes.plot(sizes, errors, "o", color=NORMAL, alpha=0.5, label="trial")
    errors, sizes = zip(*(trial.values for trial in best.front), strict=True)
    axes.step(sizes, errors, where="post", color=ANOMALY, label="front")
    error, size = best.trial.values
    axes.plot([size], [error], "o", color=MARK, markersize=9, label=f"knee: {size:.0f} units")
    axes.set(xscale="log", yscale="log", xlabel="code size (units)", ylabel=name.replace("_", " "))
    _plain_ticks(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _plain_ticks(axes: Axes) -> None:
    """Label logarithmic axes with few plain numbers instead of powers of ten."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())


def _optuna_figures(
    study: optuna.Study, complete: list[FrozenTrial], name: str
) -> dict[str, Figure]:
    """Draw Optuna's figures of a study with one objective, called `name`."""
    import optuna.visualization.matplotlib as plots

    shared = set.intersection(*(set(trial.params) for trial in complete))
    varied = sorted(key for key in shared if len({trial.params[key] for trial in complete}) > 1)
    figures = {"history": _draw(plots.plot_optimization_history, study, name)}
    if varied:
        figures["slice"] = _draw(plots.plot_slice, study, name, params=varied)
    if len(varied) > 1:
        figures["importance"] = _draw(plots.plot_param_importances, study, name)
        params = varied[:MAX_CONTOUR_SETTINGS]
        figures["contour"] = _draw(plots.plot_contour, study, name, params=params)
    return figures


def _draw(plot: Callable[..., Any], study: optuna.Study, name: str, **options: Any) -> Figure:
    """Draw one of Optuna's figures, and close it, since pyplot keeps open figures in memory."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore", ExperimentalWarning)
        panels = np.ravel(np.asarray(plot(study, target_name=name, **options)))
        figure: Figure = panels[0].figure
        plt.close(figure)
    for axes in panels:
        _plain_ticks(axes)
    columns = panels[0].get_gridspec().ncols if panels[0].get_gridspec() else 1
    figure.set_size_inches(max(7, 2.8 * columns + 2), max(4.5, 2.6 * len(panels) / columns))
    return figure
