"""Which trial of a study wins, and with which settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import Yaml
from hourglass.tuning.attributes import HISTORY, PARAMS, REFUSED, VALUES


@dataclass(frozen=True)
class Winner:
    """Hold the best trial, or the knee of the front, and the front where there is one."""

    trial: FrozenTrial
    front: list[FrozenTrial]

    @property
    def values(self) -> Yaml:
        """Return the settings that were drawn, by the names of the constructor's arguments."""
        found: Yaml = self.trial.user_attrs[VALUES]
        return found


def find_winner(study: optuna.Study) -> Winner | None:
    """Return the winner among the complete trials, or None where there is none yet."""
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    if len(study.directions) == 1:
        return Winner(study.best_trial, [])
    front = sorted(study.best_trials, key=lambda trial: trial.values[::-1])
    return Winner(front[knee([trial.values for trial in front])], front)


def need_winner(study: optuna.Study | None, name: str) -> Winner:
    """Return the winner; raises a UserError where the study or a complete trial is missing."""
    winner = find_winner(study) if study else None
    if winner is None:
        raise UserError(
            f"the study {name} has no complete trial yet; run `hourglass tune` with trials."
        )
    return winner


def knee(front: Sequence[Sequence[float]]) -> int:
    """Return the place of the point furthest below the line between the ends of a front.

    The points are (error, size), both above 0 and taken as logarithms, each stretched to the same
    range (Satopaa et al. 2011, "Finding a kneedle in a haystack"). Of equals it is the first.
    """
    points = np.log(np.maximum(np.asarray(front, float), np.finfo(float).tiny))
    low, span = points.min(0), np.ptp(points, 0)
    error, size = ((points - low) / np.where(span > 0, span, 1)).T
    return int(np.argmax(1 - error - size))


def facts(trial: FrozenTrial, names: Sequence[str]) -> dict[str, Any]:
    """Return what the record in MLflow keeps of a trial that has ended."""
    rows = trial.user_attrs.get(HISTORY, [])
    curves: dict[str, list[tuple[int, float]]] = {
        key: [(int(row["epoch"]), row[key]) for row in rows]
        for key in (rows[0] if rows else ())
        if key not in ("epoch", "phase")
    }
    if len(names) == 1:
        curves[names[0]] = sorted(trial.intermediate_values.items())
    if trial.state == TrialState.COMPLETE:  # the value of a pruned one is its last report
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
            int(at.timestamp() * 1000) for at in (trial.datetime_start, trial.datetime_complete)
        ],
        "note": trial.user_attrs.get(REFUSED, ""),
    }
