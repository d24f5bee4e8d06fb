import numpy as np
import pytest

from hourglass.studies.restoration.tasks import TASKS, Task, images, tasks_for

CLEAN = np.random.default_rng(0).uniform(0.1, 1, (4, 3, 9, 8)).astype(np.float32)
EVERY = pytest.mark.parametrize("task", TASKS, ids=[task.name for task in TASKS])
NAMED = {task.name: task for task in TASKS}


@EVERY
def test_a_seed_gives_the_same_problem_and_another_one_another(task: Task):
    level = task.levels[-1]
    first, again, other = (task.problem(CLEAN, level, seed).seen for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (task.name in ("downsampling", "grey"))


@EVERY
def test_a_level_has_one_corruption_of_that_size(task: Task):
    for level in task.levels:
        corruption = task.corruption(level)
        assert getattr(corruption, task.setting) == level
        assert task.problem(CLEAN, level, 0).clean is CLEAN


@pytest.mark.parametrize("name", ["masking", "block"])
def test_what_is_missing_is_black_and_all_else_as_it_was(name):
    for level in NAMED[name].levels:
        found = NAMED[name].problem(CLEAN, level, 0)
        assert found.missing.any()
        assert (found.seen[found.missing] == 0).all()
        assert np.array_equal(found.seen[~found.missing], CLEAN[~found.missing])


@pytest.mark.parametrize("name", ["gaussian", "downsampling", "grey"])
def test_elsewhere_nothing_is_missing(name):
    assert not NAMED[name].problem(CLEAN, NAMED[name].levels[-1], 0).missing.any()


def test_noise_differs_between_levels_in_size_only():
    task = NAMED["gaussian"]
    assert np.array_equal(task.problem(CLEAN, 0.0, 0).seen, CLEAN)
    one, five = ((task.problem(CLEAN, level, 0).seen - CLEAN) / level for level in (0.1, 0.5))
    np.testing.assert_allclose(one, five, atol=1e-5)


def test_images_are_normal_scaled_and_from_everywhere(prepared):
    data = prepared(count=30)
    test = data.split("test")
    found = images(data, "test", 3)
    expected = test.x[~test.anomaly][[0, 10, 19]]  # 9.5 is rounded to the even neighbour
    assert np.array_equal(found, expected.astype(np.float32) / np.float32(255))
    assert len(images(data, "test", 100)) == 20


def test_colours_alone_can_be_lost():
    assert "grey" in [task.name for task in tasks_for((3, 8, 8))]
    assert [task.name for task in tasks_for((1, 8, 8))] == [
        t.name for t in TASKS if t.name != "grey"
    ]


def test_tables_and_tiny_images_are_refused(refusal):
    assert "(30,)" in refusal(tasks_for, (30,))
    assert "8 x 2" in refusal(tasks_for, (1, 2, 8))
