"""Restoration tasks: fixed corruptions of fixed images."""

import numpy as np
import pytest

from hourglass.studies.restoration.tasks import TASKS, Task, clean_images, tasks_for

CLEAN = np.random.default_rng(0).uniform(0.1, 1, (4, 3, 9, 8)).astype(np.float32)
NAMED = {task.name: task for task in TASKS}


@pytest.mark.parametrize("task", TASKS, ids=list(NAMED))
def test_a_problem_has_the_corruption_of_its_level_and_its_missing_pixels_are_black(task: Task):
    for level in task.levels:
        assert getattr(task.corruption(level), task.setting) == level
        problem = task.problem(CLEAN, level, 0)
        assert problem.clean is CLEAN
        assert problem.missing.any() == (task.name in ("masking", "block"))
        if problem.missing.any():
            assert (problem.corrupted[problem.missing] == 0).all()
            assert np.array_equal(problem.corrupted[~problem.missing], CLEAN[~problem.missing])


@pytest.mark.parametrize("task", TASKS, ids=list(NAMED))
def test_a_problem_depends_on_the_seed(task: Task):
    level = task.levels[-1]
    first, again, other = (task.problem(CLEAN, level, seed).corrupted for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (task.name in ("downsampling", "grey"))


def test_noise_differs_between_levels_in_scale_only():
    task = NAMED["gaussian"]
    assert np.array_equal(task.problem(CLEAN, 0.0, 0).corrupted, CLEAN)
    one, five = ((task.problem(CLEAN, level, 0).corrupted - CLEAN) / level for level in (0.1, 0.5))
    np.testing.assert_allclose(one, five, atol=1e-5)


def test_images_are_normal_scaled_and_evenly_spaced(smooth_images):
    data = smooth_images((3, 13, 12), 30)
    test = data.split("test")
    expected = test.x[~test.anomaly][[0, 10, 19]]  # 9.5 is rounded to the even neighbour
    images = clean_images(data, "test", 3)
    assert np.array_equal(images, expected.astype(np.float32) / np.float32(255))
    assert len(clean_images(data, "test", 100)) == 20


def test_only_colour_images_have_the_task_grey():
    assert tasks_for((3, 8, 8)) == list(TASKS)
    assert tasks_for((1, 8, 8)) == [task for task in TASKS if task.name != "grey"]
