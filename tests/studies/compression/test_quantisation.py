"""Quantised codes and components, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import KBinsDiscretizer

from hourglass.studies.compression.codecs import Quantiser, powers_of_two, quantised_components

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(4000, 3)) * (1, 10, 0.1)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_cells_equal_those_of_scikit_learn_for_the_same_range(bits):
    bins = KBinsDiscretizer(2**bits, encode="ordinal", strategy="uniform", subsample=None)
    expected = bins.inverse_transform(bins.fit(REFERENCE).transform(2 * REFERENCE[:500]))
    values = Quantiser(REFERENCE.min(0), REFERENCE.max(0), bits)(2 * REFERENCE[:500])
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_each_bit_reduces_the_error():
    values = (Quantiser.fit(REFERENCE, bits)(REFERENCE) for bits in range(1, 9))
    assert (np.diff([np.square(x - REFERENCE).mean() for x in values]) < 0).all()


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_fitted_ranges_are_at_least_as_good_as_the_extremes(bits):
    heavy = RNG.standard_t(2, size=(4000, 3))
    fitted = np.square(Quantiser.fit(heavy, bits)(heavy) - heavy).mean(0)
    extremes = Quantiser(heavy.min(0), heavy.max(0), bits)
    assert (fitted <= np.square(extremes(heavy) - heavy).mean(0) + 1e-9).all()


def test_a_constant_unit_keeps_its_value():
    reference = np.column_stack([np.full(50, 2.5), RNG.normal(size=50)])
    assert (Quantiser.fit(reference, 3)(reference)[:, 0] == 2.5).all()


@pytest.mark.parametrize(
    ("largest", "expected"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_powers_of_two_end_with_the_largest_value(largest, expected):
    assert powers_of_two(largest) == expected


@pytest.mark.parametrize("count", [500, 12], ids=["many samples", "fewer than features"])
def test_components_equal_those_of_pca_up_to_quantisation(count):
    reference = RNG.normal(size=(count, 20)) @ np.diag(np.arange(1, 21))
    restored = dict(quantised_components(reference, reference, 16))
    assert list(restored) == powers_of_two(min(16, count))
    for k, x in restored.items():
        pca = PCA(k, svd_solver="full").fit(reference)
        expected = pca.inverse_transform(pca.transform(reference))
        assert np.square(x - expected).mean() < 1e-3 * reference.var()
