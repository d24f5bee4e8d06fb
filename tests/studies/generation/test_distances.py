"""Frechet distance and distances to the nearest code, against SciPy."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from hourglass.studies.generation.distances import (
    code_distances,
    frechet_distance,
    nearest_distance,
    summarise_distances,
)

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(200, 20)).astype(np.float32)


def frechet_by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """Return the distance by the formula of Heusel et al."""
    first, second = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (x, y))
    root = np.real(sqrtm(first @ second))
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(first + second - 2 * root))


@pytest.mark.parametrize(
    ("units", "count", "tolerance"), [(1, 60, 1e-9), (2, 60, 1e-9), (8, 60, 1e-9), (40, 7, 1e-5)]
)
def test_the_frechet_distance_is_that_of_the_definition(units, count, tolerance):
    x, y = (
        RNG.normal(size=(size, units)) @ RNG.normal(size=(units, units)) + RNG.normal(size=units)
        for size in (count, count + 2)
    )
    expected = frechet_by_sqrtm(x, y)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=tolerance)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=tolerance)


def test_the_distance_grows_with_the_shift_from_zero():
    x = RNG.normal(size=(30, 5))
    distances = [frechet_distance(x, x[::-1] + shift) for shift in (0.0, 1e-6, 0.1, 1.0)]
    assert distances[0] == pytest.approx(0, abs=1e-12)
    assert 0 <= distances[0] <= distances[1] <= distances[2] <= distances[3]
    assert distances[3] == pytest.approx(5)


@pytest.mark.parametrize("units", [2, 20])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_the_nearest_distance_equals_that_of_all_distances_and_is_0_for_a_copy(units, offset):
    reference = REFERENCE[:, :units] + np.float32(offset)
    x = reference[:50] + RNG.normal(size=(50, units)).astype(np.float32)
    expected = cdist(x.astype(np.float64), reference.astype(np.float64)).min(1)
    np.testing.assert_allclose(nearest_distance(x, reference), expected, rtol=1e-6)
    assert (nearest_distance(reference[:50], reference) == 0).all()


def distances(z: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return code_distances({"z": z}, reference)["z"]


@pytest.mark.parametrize("scale", [np.geomspace(0.5, 4, 20).astype(np.float32), np.float32(1e-25)])
def test_units_are_divided_by_their_standard_deviation(scale):
    z = RNG.normal(size=(50, 20)).astype(np.float32)
    expected = cdist(z / REFERENCE.std(0), REFERENCE / REFERENCE.std(0)).min(1)
    np.testing.assert_allclose(distances(z * scale, REFERENCE * scale), expected, rtol=1e-3)


def test_an_inactive_unit_is_left_out():
    inactive = np.float32(1e-3) * RNG.normal(size=(200, 1)).astype(np.float32)
    z = RNG.normal(size=(50, 20)).astype(np.float32)
    far = np.concatenate([z, np.full((50, 1), 9, np.float32)], 1)
    wide = np.concatenate([REFERENCE, inactive], 1)
    np.testing.assert_allclose(distances(far, wide), distances(z, REFERENCE))


def test_equal_reference_codes_have_distances():
    equal = np.ones((5, 3), np.float32)
    np.testing.assert_allclose(distances(equal + 1, equal), np.sqrt(3))


def test_the_summary_has_quantiles_and_the_share_beyond_real_distances():
    real = np.linspace(0, 1, 101)
    sources = {"real": real, "near": real / 2, "far": real + 2, "half": 2 * real - 0.01}
    table = summarise_distances(sources).set_index("source")
    assert list(table) == ["q01", "q25", "q50", "q75", "q99", "share_far"]
    np.testing.assert_allclose(table.loc["far"].iloc[:5], [2.01, 2.25, 2.5, 2.75, 2.99])
    expected = {"real": 1 / 101, "near": 0, "far": 1, "half": 50 / 101}
    assert table.share_far.to_dict() == pytest.approx(expected, abs=0.011)
