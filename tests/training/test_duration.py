"""The duration of a training: steps to epochs, and trainings that end too early."""

import math

import numpy as np
import pytest

from hourglass.core.errors import UserError
from hourglass.training.cell_settings import EPOCHS, MAX_STEPS, MIN_STEPS, TrainingPlan
from hourglass.training.convergence import still_improving


def steps(plan: TrainingPlan, rows: int) -> int:
    return plan.training(rows).max_epochs * math.ceil(rows / plan.batch_size)


@pytest.mark.parametrize("rows", [1, 10, 100, 640, 5000, 100_000, 10_000_000])
def test_a_training_without_settings_takes_at_least_and_at_most_a_number_of_steps(rows):
    epoch = math.ceil(rows / TrainingPlan().batch_size)
    assert MIN_STEPS <= steps(TrainingPlan(), rows) < MAX_STEPS + epoch


@pytest.mark.parametrize("rows", [10, 100_000])
def test_given_epochs_are_kept_for_any_number_of_rows(rows):
    assert TrainingPlan(max_epochs=7, patience=3).training(rows).max_epochs == 7
    assert TrainingPlan(max_epochs=7, patience=3).training(rows).patience == 3


def test_given_bounds_also_hold_for_given_epochs():
    assert steps(TrainingPlan(batch_size=10, max_epochs=5, min_steps=70), 100) == 70
    assert steps(TrainingPlan(batch_size=10, max_epochs=50, max_steps=70), 100) == 70


def test_the_patience_grows_with_the_number_of_epochs():
    assert TrainingPlan().training(640).patience == EPOCHS // 5
    assert TrainingPlan().training(64).patience == MIN_STEPS // 5


@pytest.mark.parametrize(
    "values", [{"min_steps": 0}, {"max_steps": -1}, {"min_steps": 11, "max_steps": 10}]
)
def test_bounds_that_no_training_can_keep_are_refused(values):
    with pytest.raises(UserError, match=next(iter(values))):
        TrainingPlan(**values)


def test_only_a_training_at_its_last_epoch_with_a_falling_error_is_still_improving():
    falling, level = np.linspace(1, 0.1, 50), np.r_[np.linspace(1, 0.1, 30), np.full(20, 0.099)]
    assert still_improving(falling, 50)
    assert not still_improving(falling, 51)  # `patience` ended it
    assert not still_improving(level, 50)
    assert not still_improving([1.0], 1)
