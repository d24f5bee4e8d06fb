"""Quality of neighbourhoods: scikit-learn's classifier, and counts by hand."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from hourglass.latent.neighbours import neighbour_quality

X, Y = load_digits(return_X_y=True)
X = X.astype(np.float32)
TRAIN, TEST = slice(0, 600), slice(600, 900)


@pytest.mark.parametrize("names", [Y, np.array(list("jihgfedcba"))[Y]], ids=["numbers", "text"])
@pytest.mark.parametrize("k", [1, 7, 20])
def test_the_accuracy_is_that_of_scikit_learn_s_classifier(names, k):
    found = neighbour_quality(X[TRAIN], names[TRAIN], X[TEST], names[TEST], k=k)
    expected = KNeighborsClassifier(k, algorithm="brute").fit(X[TRAIN], names[TRAIN])
    assert found["kNN_accuracy"] == pytest.approx(expected.score(X[TEST], names[TEST]), abs=1e-12)


def test_the_precision_is_the_share_of_neighbours_of_the_same_class():
    train = np.array([[0], [1], [2], [10], [11]], np.float32)
    train_y = np.array(["a", "a", "b", "b", "b"])
    test, test_y = np.array([[0.1], [10.4]], np.float32), np.array(["a", "b"])
    found = neighbour_quality(train, train_y, test, test_y, top=3, k=1)
    assert found["precision_at_3"] == pytest.approx((2 / 3 + 1) / 2)


def test_classes_that_mean_nothing_are_found_by_chance():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 900)
    found = neighbour_quality(X[TRAIN], y[TRAIN], X[TEST], y[TEST])
    assert found["precision_at_10"] == pytest.approx(0.25, abs=0.05)


def test_a_class_that_training_does_not_hold_is_never_right():
    found = neighbour_quality(X[TRAIN], Y[TRAIN], X[TEST], np.full(300, 11))
    assert found["kNN_accuracy"] == found["precision_at_10"] == 0


def test_it_takes_some_time():
    found = neighbour_quality(X[TRAIN], Y[TRAIN], X[TEST], Y[TEST])
    assert found["milliseconds_in_batch"] > 0
    assert found["milliseconds_alone"] > 0


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("k", 601)])
def test_impossible_numbers_of_neighbours_are_refused(refusal, name, value):
    arguments = (X[TRAIN], Y[TRAIN], X[TEST], Y[TEST])
    assert f"{name} is {value}" in refusal(neighbour_quality, *arguments, **{name: value})
