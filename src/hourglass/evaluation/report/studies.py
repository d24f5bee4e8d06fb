"""Hyperparameter studies of `hourglass tune` on the page, read from their files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.paths import STUDIES, Cell
from hourglass.core.settings import cell_config
from hourglass.core.suggestions import counted
from hourglass.evaluation.report.curves import Chart
from hourglass.evaluation.report.glossary import score_text
from hourglass.evaluation.report.provenance import DIGITS, Origin
from hourglass.evaluation.report.svg import Axis, Plot, marker_path

MAX_SETTINGS = 3  # plotted against the objective
SHOWN_TRIALS = 10  # in the table, the best first


@dataclass(frozen=True)
class TuningStudy:
    """A study: its objectives, number of trials by state, best values, trials and plots."""

    cell: Cell
    name: str
    objectives: list[str]
    counts: dict[str, int]
    best: dict[str, Any]  # a trial: number, state, values, settings
    trials: list[dict[str, Any]]  # complete ones, the best first
    applied: bool  # the cell has the best values now
    charts: list[Chart]


def tuning_studies(cell: Cell, origin: Origin) -> list[TuningStudy]:
    """Return the studies of a cell on its current data, by name."""
    studies = []
    for path in sorted(STUDIES.glob("*/study.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["cell"] == [cell.data, cell.model] and content["data"][:DIGITS] == origin.data:
            studies.append(_study(cell, path, content))
    return studies


def _study(cell: Cell, path: Path, content: dict[str, Any]) -> TuningStudy:
    trials, states = content["trials"], [trial["state"] for trial in content["trials"]]
    sign = 1 if content["directions"][0] == "minimize" else -1
    complete = sorted(
        (trial for trial in trials if trial["state"] == "complete"),
        key=lambda trial: sign * trial["values"][0],
    )
    best = next(trial for trial in complete if trial["number"] == content["best"])
    now = cell_config(cell).get("init_args") or {}
    return TuningStudy(
        cell=cell,
        name=path.parent.name,
        objectives=content["objectives"],
        counts={state: states.count(state) for state in dict.fromkeys(sorted(states))},
        best=best,
        trials=complete[:SHOWN_TRIALS],
        applied=best["settings"].items() <= now.items(),
        charts=[_progress(content, complete, best), *_slices(content, complete, best)],
    )


def _progress(
    content: dict[str, Any], complete: list[dict[str, Any]], best: dict[str, Any]
) -> Chart:
    """Plot the objective per trial, and the best value so far as a line."""
    better = min if content["directions"][0] == "minimize" else max
    ordered = sorted(complete, key=lambda trial: trial["number"])
    numbers = [trial["number"] for trial in ordered]
    values = [trial["values"][0] for trial in ordered]
    so_far = [better(values[: end + 1]) for end in range(len(values))]
    plot = _plot(content, "trial", numbers, values)
    # A stair: the value holds until a better trial.
    stair = (np.repeat(numbers, 2)[1:], np.repeat(so_far, 2)[:-1])
    plot.line(*stair, "mark dashed", "best so far")
    _draw_trials(
        plot, [(number, trial) for number, trial in zip(numbers, ordered, strict=True)], best
    )
    name = content["objectives"][0].replace("_", " ")
    label = f"{name} of {counted(len(ordered), 'trial')}; the best is "
    label += f"{score_text(best['values'][0])}."
    return Chart("Trials", "Dashed: the best so far. Diamond: the chosen trial.", plot.svg(label))


def _slices(
    content: dict[str, Any], complete: list[dict[str, Any]], best: dict[str, Any]
) -> list[Chart]:
    """Plot the objective over each numeric setting with more than one value."""
    charts, name = [], content["objectives"][0].replace("_", " ")
    for key in best["settings"]:
        found = [trial for trial in complete if _is_number(trial["settings"].get(key))]
        x = [trial["settings"][key] for trial in found]
        if len(set(x)) > 1:
            plot = _plot(content, key, x, [trial["values"][0] for trial in found])
            _draw_trials(plot, list(zip(x, found, strict=True)), best)
            label = f"{name} over {key}, {counted(len(found), 'trial')}; the chosen value is "
            label += f"{best['settings'][key]}."
            charts.append(Chart(f"{key}", "Diamond: the chosen trial.", plot.svg(label)))
    return charts[:MAX_SETTINGS]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plot(content: dict[str, Any], label: str, x: list[float], y: list[float]) -> Plot:
    axis = Axis.around("", y, 0.08)
    y_label = content["objectives"][0].replace("_", " ")
    return Plot(Axis.around(label, x), Axis(y_label, axis.low, axis.high, axis.log))


def _draw_trials(
    plot: Plot, placed: list[tuple[float, dict[str, Any]]], best: dict[str, Any]
) -> None:
    for x, trial in placed:
        is_best = trial["number"] == best["number"]
        settings = ", ".join(f"{key} {value}" for key, value in trial["settings"].items())
        title = f"trial {trial['number']}, {score_text(trial['values'][0])}, {settings}"
        shape, css = (marker_path(3), "anomalous") if is_best else (marker_path(0), "normal faint")
        plot.marker(x, trial["values"][0], shape, css, title)
