"""The best trial of a study, or the knee of its Pareto front."""

import numpy as np
import optuna
import pytest

from hourglass.tuning.best_trial import find_best, knee


def test_the_knee_is_the_break_in_the_slope_of_a_front():
    sizes = np.array([1, 2, 4, 8, 16, 32, 64])
    errors = np.where(sizes <= 8, 1 / sizes.astype(float) ** 3, 8**-3.0 * (8 / sizes) ** 0.01)
    assert knee(list(zip(errors, sizes, strict=True))) == 3
    assert knee([(0.5, 4)]) == 0


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_trial_is_complete(direction):
    study = optuna.create_study(direction=direction)
    assert find_best(study) is None
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED, value=0.5))
    assert find_best(study) is None
    for value in (0.4, 0.6, 0.5):
        study.add_trial(optuna.create_trial(value=value))
    best = find_best(study)
    assert best
    assert best.trial.value == (0.6 if direction == "maximize" else 0.4)
    assert best.front == []


def test_dominated_trials_are_not_on_the_front():
    study = optuna.create_study(directions=["minimize", "minimize"])
    for values in ((1.0, 2), (0.2, 4), (0.5, 6), (0.19, 32)):
        study.add_trial(optuna.create_trial(values=values))
    best = find_best(study)
    assert best
    assert [tuple(trial.values) for trial in best.front] == [(1.0, 2), (0.2, 4), (0.19, 32)]
    assert tuple(best.trial.values) == (0.2, 4)
