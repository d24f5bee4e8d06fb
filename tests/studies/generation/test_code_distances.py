"""Distances to the nearest code or row, and what is said of them."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hourglass.studies.generation.distances import code_distances, nearest, summary

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(200, 20)).astype(np.float32)


@pytest.mark.parametrize("units", [2, 20])
def test_the_distance_is_that_to_the_nearest_row(units):
    x = RNG.normal(size=(50, units)).astype(np.float32)
    reference = REFERENCE[:, :units]
    expected = cdist(x.astype(np.float64), reference.astype(np.float64)).min(1)
    np.testing.assert_allclose(nearest(x, reference), expected, rtol=1e-6)


@pytest.mark.parametrize("offset", [0, 1e4])
def test_a_copy_is_at_no_distance_to_the_bit(offset):
    reference = REFERENCE + np.float32(offset)
    assert (nearest(reference[:50], reference) == 0).all()


def test_units_are_measured_in_their_own_standard_deviation():
    z = RNG.normal(size=(50, 20)).astype(np.float32)
    scale = np.geomspace(0.5, 4, 20).astype(np.float32)
    plain = code_distances({"z": z}, REFERENCE)["z"]
    np.testing.assert_allclose(
        code_distances({"z": z * scale}, REFERENCE * scale)["z"], plain, rtol=1e-4
    )
    expected = cdist(z / REFERENCE.std(0), REFERENCE / REFERENCE.std(0)).min(1)
    np.testing.assert_allclose(plain, expected, rtol=1e-4)


def test_an_idle_unit_says_nothing():
    idle = np.full((200, 1), 1e-3, np.float32) * RNG.normal(size=(200, 1)).astype(np.float32)
    z = RNG.normal(size=(50, 20)).astype(np.float32)
    far = np.concatenate([z, np.full((50, 1), 9, np.float32)], 1)
    found = code_distances({"z": far}, np.concatenate([REFERENCE, idle], 1))["z"]
    np.testing.assert_allclose(found, code_distances({"z": z}, REFERENCE)["z"])


def test_codes_that_are_all_alike_have_distances():
    alike = np.ones((5, 3), np.float32)
    np.testing.assert_allclose(code_distances({"z": alike + 1}, alike)["z"], np.sqrt(3))


def test_codes_that_are_nearly_alike_have_distances_in_their_own_spread():
    plain = code_distances({"z": REFERENCE[:9] + 1}, REFERENCE)["z"]
    small = np.float32(1e-25)
    found = code_distances({"z": (REFERENCE[:9] + 1) * small}, REFERENCE * small)["z"]
    np.testing.assert_allclose(found, plain, rtol=1e-3)


def test_the_summary_has_quantiles_and_the_share_beyond_the_real_ones():
    real = np.linspace(0, 1, 101)
    table = summary({"real": real, "near": real / 2, "far": real + 2, "half": 2 * real - 0.01})
    assert list(table) == ["source", "q01", "q25", "q50", "q75", "q99", "share_far"]
    table = table.set_index("source")
    np.testing.assert_allclose(table.loc["far"].iloc[:5], [2.01, 2.25, 2.5, 2.75, 2.99])
    assert table.share_far.to_dict() == pytest.approx(
        {"real": 1 / 101, "near": 0, "far": 1, "half": 50 / 101}, abs=0.011
    )
