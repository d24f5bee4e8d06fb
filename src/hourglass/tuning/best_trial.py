"""Results of a study: the best trial or Pareto front, and all trials as text and for MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import Yaml
from hourglass.tuning.study import finished
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, PARAMS, VALUES

if TYPE_CHECKING:
    import pandas as pd

MAX_TABLE_ROWS = 40  # of the printed table


@dataclass(frozen=True)
class BestTrial:
    """The best trial and an empty front, or the knee of a Pareto front and the front."""

    trial: FrozenTrial
    front: list[FrozenTrial]

    @property
    def values(self) -> Yaml:
        """Return the sampled hyperparameters by constructor argument."""
        values: Yaml = self.trial.user_attrs[VALUES]
        return values


def find_best(study: optuna.Study) -> BestTrial | None:
    """Return the best complete trial, or None if no trial is complete."""
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    if len(study.directions) == 1:
        return BestTrial(study.best_trial, [])
    front = sorted(study.best_trials, key=lambda trial: trial.values[::-1])
    return BestTrial(front[knee([trial.values for trial in front])], front)


def need_best(study: optuna.Study | None, name: str) -> BestTrial:
    """Return the best trial; raise a UserError if the study has no complete trial."""
    best = find_best(study) if study else None
    if best is None:
        raise UserError(
            f"the study {name} has no complete trial yet; run `hourglass tune` with trials."
        )
    return best


def knee(front: Sequence[Sequence[float]]) -> int:
    """Return the index of the point furthest below the line between the ends of a front.

    The points are (error, size), both positive. Their logarithms are scaled to [0, 1] (Satopaa et
    al. 2011, "Finding a kneedle in a haystack"). The first of several equal points is returned.
    """
    points = np.log(np.maximum(np.asarray(front, float), np.finfo(float).tiny))
    low, span = points.min(0), np.ptp(points, 0)
    error, size = ((points - low) / np.where(span > 0, span, 1)).T
    return int(np.argmax(1 - error - size))


def trial_record(trial: FrozenTrial, names: Sequence[str]) -> dict[str, Any]:
    """Return the content of the MLflow run of a trial that has ended.

    `names` are the names of the objective's values.
    """
    rows = trial.user_attrs.get(HISTORY, [])
    curves: dict[str, list[tuple[int, float]]] = {
        key: [(int(row["epoch"]), row[key]) for row in rows]
        for key in (rows[0] if rows else ())
        if key not in ("epoch", "phase")
    }
    if len(names) == 1:
        curves[names[0]] = sorted(trial.intermediate_values.items())
    if trial.state == TrialState.COMPLETE:  # the value of a pruned trial is an intermediate one
        for name, value in zip(names, trial.values, strict=True):
            curves[name] = [*curves.get(name, []), (len(rows), value)]
    assert trial.datetime_start
    assert trial.datetime_complete
    return {
        "number": trial.number,
        "state": trial.state.name,
        "params": trial.user_attrs.get(PARAMS, {}),
        "curves": curves,
        "times": [
            int(time.timestamp() * 1000) for time in (trial.datetime_start, trial.datetime_complete)
        ],
        "note": trial.user_attrs.get(FAILURE, ""),
    }


def describe(study: optuna.Study, names: Sequence[str]) -> str:
    """Return a text with a table of the trials, best first, and the best trial."""
    trials = finished(study)
    states = ", ".join(
        f"{sum(trial.state == state for trial in trials)} {label}"
        for state, label in (
            (TrialState.COMPLETE, "complete"),
            (TrialState.PRUNED, "pruned"),
            (TrialState.FAIL, "failed"),
        )
    )
    best = find_best(study)
    lines = [f"{study.study_name}: {len(trials)} trials ({states})"]
    if trials:
        table = _table(trials, names, study, best)
        lines += ["", table.head(MAX_TABLE_ROWS).to_string(index=False)]
    if len(trials) > MAX_TABLE_ROWS:
        lines.append(f"... and {len(trials) - MAX_TABLE_ROWS} more")
    if best:
        values = ", ".join(f"{key} {value}" for key, value in best.values.items())
        objective = ", ".join(map("{} {:.4g}".format, names, best.trial.values))
        kind = "knee" if best.front else "best"
        lines += ["", f"{kind}: trial {best.trial.number}, {objective}, with {values}"]
    return "\n".join(lines)


def _table(
    trials: Sequence[FrozenTrial], names: Sequence[str], study: optuna.Study, best: BestTrial | None
) -> "pd.DataFrame":
    """Return state, values and hyperparameters per trial; complete trials first, best on top."""
    import pandas as pd

    front = {trial.number for trial in best.front} if best else set()
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower() + (" (front)" if trial.number in front else ""),
            **dict(zip(names, trial.values or (), strict=False)),
            **trial.user_attrs.get(VALUES, {}),
        }
        for trial in trials
    ]
    table = pd.DataFrame(rows)
    table["complete"] = [trial.state == TrialState.COMPLETE for trial in trials]
    ascending = study.directions[0] == optuna.study.StudyDirection.MINIMIZE
    if names[0] in table:
        table = table.sort_values(
            ["complete", names[0]], ascending=[False, ascending], kind="stable"
        )
    return table.drop(columns="complete")
