"""Sparse probing and absorption, compared with scikit-learn and with known answers."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from hourglass.studies.sparse_codes.absorption import (
    class_absorption,
    class_direction,
    main_units,
    sample_absorption,
)
from hourglass.studies.sparse_codes.labelled_codes import probed_classes
from hourglass.studies.sparse_codes.probing import mean_differences, sparse_probes

CLASS_UNIT = 3


def problem(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of 6 units and a class of half the samples, which is unit 3 with some noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2 == 0
    z = rng.random((samples, 6)) * (rng.random((samples, 6)) < 0.3)
    z[:, CLASS_UNIT] = np.where(y ^ (rng.random(samples) < 0.1), 1 + rng.random(samples), 0)
    z[:, 5] += 0.5 * y * rng.random(samples)
    return z, y


def test_probes_use_the_most_different_units_and_equal_scikit_learn():
    (train, y), (test, y_test) = problem(300, 0), problem(200, 1)
    probes = sparse_probes(csr_matrix(train), y, csr_matrix(test), y_test)
    difference = train[y].mean(0) - train[~y].mean(0)
    np.testing.assert_allclose(mean_differences(csr_matrix(train), y), difference)
    order = np.argsort(-np.abs(difference))
    assert order[0] == CLASS_UNIT
    assert probes.keys() == {1, 2, 5}
    for k, found in probes.items():
        np.testing.assert_array_equal(found.units, order[:k])
        scale = train[:, order[:k]].std(0)
        reference = LogisticRegression(max_iter=1000).fit(train[:, order[:k]] / scale, y)
        predicted = reference.predict(test[:, order[:k]] / scale)
        # With two classes of the same size, balanced metrics are plain metrics.
        assert found.accuracy == pytest.approx(accuracy_score(y_test, predicted))
        assert found.f1 == pytest.approx(f1_score(y_test, predicted))


def test_a_unit_that_is_the_class_gives_a_perfect_probe_for_any_prevalence():
    rng = np.random.default_rng(0)
    y = np.arange(500) < 25
    z = rng.random((500, 4)) * (rng.random((500, 4)) < 0.5)
    z[:, 2] = np.where(y, 1 + rng.random(500), 0)
    found = sparse_probes(csr_matrix(z), y, csr_matrix(z), y)[1]
    assert (found.units.tolist(), found.accuracy, found.f1) == ([2], 1.0, 1.0)


def test_metrics_of_a_rare_class_are_balanced():
    y = np.arange(1000) < 100
    z = np.zeros((1000, 1))
    z[:80] = 1  # recall 0.8
    z[100:190] = 1  # a tenth of the others
    found = sparse_probes(csr_matrix(z), y, csr_matrix(z), y)[1]
    assert found.accuracy == pytest.approx((0.8 + 0.9) / 2)
    assert found.f1 == pytest.approx(2 * 0.8 / (1 + 0.8 + 0.1))


@pytest.mark.parametrize(
    ("contributions", "cosines", "main", "expected"),
    [
        ([10, 0.5], [1, 0.5], [True, False], (0.0, False)),  # the main unit reaches the projection
        ([9, 1], [1, 1], [True, False], (0.0, False)),  # others contribute less than 0.4
        ([10], [0.9], [False], (1.0, True)),  # one unit instead of the main unit
        ([3, 3, 3, 3], [0.9] * 4, [False] * 4, (1.0, False)),  # three units, none of them alone
        ([2, 6], [1, 0.5], [True, False], (0.75, False)),  # partial: 6 of 6 + 2
        ([2, 9], [1, 0.5], [True, False], (0.8, False)),  # no more than what the main unit lacks
        ([10], [0.05], [False], (0.0, True)),  # a cosine that counts for full absorption only
        ([10], [0.01], [False], (0.0, False)),
        ([-1, 8], [-0.5, 0.5], [True, False], (1.0, False)),  # a main unit that points away
        ([], [], [], (0.0, False)),  # no active unit
    ],
)
def test_absorption_of_a_sample_with_projection_10(contributions, cosines, main, expected):
    found = sample_absorption(
        10.0, np.array(contributions, float), np.array(cosines, float), np.array(main, bool)
    )
    assert found == (pytest.approx(expected[0]), expected[1])


def absorbed(share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, codes, decoder and class of a feature that a special unit absorbs.

    Direction 0 is the class. Unit 0 represents it, except on a share of the class, where unit 2
    represents it together with direction 2. Unit 1 is direction 1, of other samples.
    """
    y = np.arange(200) < 100
    special = np.arange(200) < round(100 * share)
    w_dec = np.array([[1, 0, 0], [0, 1, 0], [0.8, 0, 0.6]])
    z = np.column_stack([y & ~special, ~y, special]).astype(float)
    z *= 1 + np.random.default_rng(0).random((200, 1))
    return z @ w_dec + 7, z, w_dec, y  # 7: the bias of the decoder


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_absorption_is_the_share_of_samples_that_a_special_unit_takes_over(share):
    x, z, w_dec, y = absorbed(share)
    codes = csr_matrix(z)
    units = main_units(codes, y)
    assert units[0] == 0
    direction = np.array([1.0, 0, 0]), 7.5
    found = class_absorption(direction, units[:1], x[y], codes[y], w_dec, np.full(3, 7.0))
    assert found.fraction == pytest.approx(share)
    assert found.full == pytest.approx(share)
    assert (found.samples, found.probe_recall) == (100, 1)


def test_samples_that_the_linear_probe_misses_do_not_count():
    x, z, w_dec, y = absorbed(0.25)
    codes, direction = csr_matrix(z), (np.array([1.0, 0, 0]), 7 + 1.5)
    found = class_absorption(direction, np.array([0]), x[y], codes[y], w_dec, np.full(3, 7.0))
    assert found.samples == int((x[y] @ direction[0] > direction[1]).sum()) < 100


def test_the_direction_of_a_class_tells_it_apart_in_any_unit():
    x, _, _, y = absorbed(0.0)
    for scale in (1e-3, 1e3):
        vector, limit = class_direction((scale * x).astype(np.float32), y)
        assert np.linalg.norm(vector) == pytest.approx(1)
        np.testing.assert_array_equal((scale * x) @ vector > limit, y)


def test_a_class_needs_samples_in_both_splits_and_another_class():
    train = np.repeat(["a", "b", "c"], [50, 50, 5])
    assert probed_classes(train, train) == ["a", "b"]
    assert probed_classes(train, np.repeat(["a", "c"], [50, 50])) == ["a"]
    assert probed_classes(np.repeat("a", 50), np.repeat("a", 50)) == []
