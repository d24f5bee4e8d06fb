"""Folds, cross-fitted errors, and the suspicion of a label."""

import math
from collections.abc import Callable

import numpy as np

from hourglass.studies.label_errors.ranking import (
    assign_folds,
    cross_fitted_errors,
    label_suspicion,
)


def test_every_fold_has_an_equal_share_of_every_class():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 31, 10]))
    fold = assign_folds(y, 3, seed=0)
    for label, count in enumerate((100, 31, 10)):
        sizes = np.bincount(fold[y == label], minlength=3)
        assert set(sizes) <= {count // 3, math.ceil(count / 3)}


def test_a_model_is_fitted_to_one_class_and_never_to_samples_it_evaluates():
    x = np.arange(60)
    y = x % 4
    fold = assign_folds(y, 3, seed=0)
    evaluations = np.zeros((60, 4), int)

    def fit(members: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        assert len(set(y[members])) == 1

        def errors(samples: np.ndarray) -> np.ndarray:
            assert set(fold[members]).isdisjoint(fold[samples])
            return np.full(len(samples), y[members[0]])

        return errors

    for indices, label, errors in cross_fitted_errors(x, y, fold, fit):
        assert (errors == label).all()
        evaluations[indices, label] += 1
    assert (evaluations == 1).all()


def test_the_suspicion_is_the_log_ratio_to_the_lowest_error_under_another_class():
    errors = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 9.0], [0.0, 0.0, 1.0]])
    suspicion, suggested = label_suspicion(errors, np.array([0, 2, 0]))
    np.testing.assert_allclose(suspicion, [-math.log(2), math.log(9), 0])
    assert list(suggested) == [1, 1, 1]
