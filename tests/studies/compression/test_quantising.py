"""Codes in few bits: cells as scikit-learn has them, ends that cost least."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import KBinsDiscretizer

from hourglass.studies.compression.quantisation import Quantiser, components, sizes

RNG = np.random.default_rng(0)
KNOWN = RNG.normal(size=(4000, 3)) * (1, 10, 0.1)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_cells_are_those_of_scikit_learn_between_the_same_ends(bits):
    bins = KBinsDiscretizer(2**bits, encode="ordinal", strategy="uniform", subsample=None)
    expected = bins.inverse_transform(bins.fit(KNOWN).transform(2 * KNOWN[:500]))
    found = Quantiser(KNOWN.min(0), KNOWN.max(0), bits)(2 * KNOWN[:500])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_bit_more_is_an_error_less():
    errors = [np.square(Quantiser.fit(KNOWN, bits)(KNOWN) - KNOWN).mean() for bits in range(1, 9)]
    assert (np.diff(errors) < 0).all()


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_chosen_ends_are_at_least_as_good_as_the_extremes(bits):
    heavy = RNG.standard_t(2, size=(4000, 3))
    chosen = np.square(Quantiser.fit(heavy, bits)(heavy) - heavy).mean(0)
    extremes = Quantiser(heavy.min(0), heavy.max(0), bits)
    assert (chosen <= np.square(extremes(heavy) - heavy).mean(0) + 1e-9).all()


def test_a_constant_unit_stays_at_its_value():
    known = np.column_stack([np.full(50, 2.5), RNG.normal(size=50)])
    assert (Quantiser.fit(known, 3)(known)[:, 0] == 2.5).all()


@pytest.mark.parametrize(
    ("most", "expected"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_sizes_are_powers_of_two_and_the_last(most, expected):
    assert sizes(most) == expected


@pytest.mark.parametrize("count", [500, 12], ids=["many samples", "fewer than features"])
def test_components_are_those_of_pca_but_for_their_rounding(count):
    known = RNG.normal(size=(count, 20)) @ np.diag(np.arange(1, 21))
    found = dict(components(known, known, 16))
    assert list(found) == sizes(min(16, count))
    for k, ours in found.items():
        pca = PCA(k, svd_solver="full").fit(known)
        expected = pca.inverse_transform(pca.transform(known))
        assert np.square(ours - expected).mean() < 1e-3 * known.var()
