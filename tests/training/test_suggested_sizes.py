"""Sizes that suit samples of a shape."""

import math

import pytest

from hourglass.networks.convolutional import suggested_channels
from hourglass.training.cell_settings import TrainingPlan
from hourglass.training.suggested_sizes import (
    ENSEMBLE_STEPS,
    TABLE_STEPS,
    suggested_settings,
    suggested_sizes,
)


@pytest.mark.parametrize("size", [(28, 28), (31, 60), (32, 32), (63, 40), (32, 63)])
def test_images_below_64_pixels_have_two_or_three_levels_as_ever(size):
    expected = [16, 32, 64] if min(size) >= 32 else [16, 32]
    assert suggested_sizes((3, *size))["channels"] == expected


@pytest.mark.parametrize("size", [(64, 64), (64, 20), (200, 256), (512, 512)])
def test_larger_images_have_the_levels_of_the_network(size):
    assert suggested_sizes((1, *size))["channels"] == suggested_channels((1, *size))


@pytest.mark.parametrize("shape", [(30,), (4, 96)])
def test_rows_and_windows_have_two_levels(shape):
    assert suggested_sizes(shape)["channels"] == [16, 32]


@pytest.mark.parametrize(("variant", "bounds"), [("", TABLE_STEPS), ("ensemble", ENSEMBLE_STEPS)])
@pytest.mark.parametrize("rows", [20, 300, 4200, 70_000, 3_000_000])
def test_the_steps_of_a_training_on_a_table_are_within_bounds(variant, bounds, rows):
    settings, plan = suggested_settings((29,), rows, variant)
    training = TrainingPlan(**plan).training(rows)
    steps_per_epoch = math.ceil(rows / training.batch_size)
    assert bounds[0] <= training.max_epochs * steps_per_epoch < bounds[1] + steps_per_epoch
    assert settings["learning_rate"] == 1e-2
