"""A study as pictures: Optuna's own, and the front of error against code size."""

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
from optuna.trial import TrialState

from hourglass.evaluation.figures.style import ANOMALY, MARK, NORMAL, save
from hourglass.tuning.best_trial import Winner

ENOUGH = 4  # complete trials for a picture that says something
WIDE = 6  # settings of a contour plot, at most: it has a square for every pair


def draw_study(
    study: optuna.Study, names: Sequence[str], winner: Winner, folder: Path
) -> list[Path]:
    """Draw the study into a folder; a picture that needs more trials is left out.

    For one objective history, importance, slice and contour; for two the front.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if winner.front:
        points = [tuple(trial.values) for trial in complete]
        figures = {"pareto": front(points, winner, names)} if len(complete) > 1 else {}
    else:
        figures = _optuna(study, names[0]) if len(complete) >= ENOUGH else {}
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png", tight=True)
    return [folder / f"{name}.png" for name in figures]


def front(points: list[tuple[float, ...]], winner: Winner, names: Sequence[str]) -> Figure:
    """Draw error against code size, the front as a line, and the knee that is proposed."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    errors, sizes = zip(*points, strict=True)
    axes.plot(sizes, errors, "o", color=NORMAL, alpha=0.5, label="trial")
    best_errors, best_sizes = zip(*(trial.values for trial in winner.front), strict=True)
    axes.step(best_sizes, best_errors, where="post", color=ANOMALY, label="front")
    error, size = winner.trial.values
    axes.plot([size], [error], "o", color=MARK, markersize=9, label=f"knee: {size:.0f} units")
    axes.set(
        xscale="log", yscale="log", xlabel="code size (units)", ylabel=names[0].replace("_", " ")
    )
    _plain_ticks(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _plain_ticks(axes: Axes) -> None:
    """Write numbers on logarithmic axes as they are, and few enough of them."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())


def _optuna(study: optuna.Study, name: str) -> dict[str, Figure]:
    """Return Optuna's pictures of a study of one objective."""
    import optuna.visualization.matplotlib as drawn

    varied = _varied(study)
    asked: dict[str, Callable[[], Any]] = {
        "history": lambda: drawn.plot_optimization_history(study, target_name=name),
    }
    if varied:
        asked["slice"] = lambda: drawn.plot_slice(study, params=varied, target_name=name)
    if len(varied) > 1:
        asked["importance"] = lambda: drawn.plot_param_importances(study, target_name=name)
        few = varied[:WIDE]
        asked["contour"] = lambda: drawn.plot_contour(study, params=few, target_name=name)
    return {each: _made(function) for each, function in asked.items()}


def _varied(study: optuna.Study) -> list[str]:
    """Return what was drawn in every complete trial and not always the same."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    names = set.intersection(*(set(trial.params) for trial in trials))
    return sorted(name for name in names if len({trial.params[name] for trial in trials}) > 1)


def _made(function: Callable[[], Any]) -> Figure:
    """Return what Optuna draws: pyplot's figures live until they are closed."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore", ExperimentalWarning)
        drawn = np.ravel(np.asarray(function()))
        figure: Figure = drawn[0].figure
        plt.close(figure)
    for axes in drawn:
        _plain_ticks(axes)
    columns = drawn[0].get_gridspec().ncols if drawn[0].get_gridspec() else 1
    figure.set_size_inches(max(7, 2.8 * columns + 2), max(4.5, 2.6 * len(drawn) / columns))
    return figure
