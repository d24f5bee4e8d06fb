"""Results of a study: the best trial or Pareto front, and a table of all trials."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.core.yaml_config import Yaml
from hourglass.tuning.study import finished
from hourglass.tuning.trial_attributes import VALUES

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


def describe(study: optuna.Study, names: Sequence[str]) -> str:
    """Return a text with a table of the trials, best first, and the best trial.

    `names` are the names of the objective's values.
    """
    import pandas as pd

    best, trials = find_best(study), finished(study)
    front = {trial.number for trial in best.front} if best else set()
    sign = 1 if study.directions[0] == StudyDirection.MINIMIZE else -1
    trials.sort(
        key=lambda trial: (
            trial.state != TrialState.COMPLETE,
            sign * trial.values[0] if trial.values else math.inf,
        )
    )
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower() + (" (front)" if trial.number in front else ""),
            **dict(zip(names, trial.values or (), strict=False)),
            **trial.user_attrs.get(VALUES, {}),
        }
        for trial in trials
    ]
    states = Counter(trial.state.name for trial in trials)
    lines = [
        f"{study.study_name}: {counted(len(trials), 'trial')} ({states['COMPLETE']} complete, "
        f"{states['PRUNED']} pruned, {states['FAIL']} failed)"
    ]
    if rows:
        lines += ["", pd.DataFrame(rows).head(MAX_TABLE_ROWS).to_string(index=False)]
    if len(rows) > MAX_TABLE_ROWS:
        lines.append(f"... and {len(rows) - MAX_TABLE_ROWS} more")
    if best:
        values = ", ".join(f"{key} {value}" for key, value in best.values.items())
        objective = ", ".join(map("{} {:.4g}".format, names, best.trial.values))
        kind = "knee" if best.front else "best"
        lines += ["", f"{kind}: trial {best.trial.number}, {objective}, with {values}"]
    return "\n".join(lines)
