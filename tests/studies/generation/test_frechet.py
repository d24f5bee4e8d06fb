"""The Frechet distance, against the closed form of Gaussians and SciPy's root of a matrix."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from hourglass.studies.generation.frechet import frechet_distance

RNG = np.random.default_rng(0)


def exactly(mean: np.ndarray, covariance: np.ndarray, count: int = 50) -> np.ndarray:
    """Return samples that have that mean and that covariance to rounding."""
    x = RNG.normal(size=(count, len(mean)))
    white = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """Return the distance as Heusel et al. write it down."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(sqrtm(first @ second))
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(first + second - 2 * root))


def test_gaussians_of_independent_features_have_their_closed_form():
    mean, other = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, -1.0])
    sd, other_sd = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    expected = np.square(mean - other).sum() + np.square(sd - other_sd).sum()
    found = frechet_distance(exactly(mean, np.diag(sd**2)), exactly(other, np.diag(other_sd**2)))
    assert found == pytest.approx(expected, rel=1e-9)


def test_gaussians_in_general_have_the_distance_of_the_definition():
    for units in (1, 2, 8):
        x, y = (
            RNG.normal(size=(60, units)) @ RNG.normal(size=(units, units)) + RNG.normal(size=units)
            for _ in range(2)
        )
        reference = (
            by_sqrtm(x, y)
            if units > 1
            else (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
        )
        assert frechet_distance(x, y) == pytest.approx(reference, rel=1e-9)
        assert frechet_distance(y, x) == pytest.approx(reference, rel=1e-9)


def test_fewer_samples_than_features_do_no_harm():
    x, y = RNG.normal(size=(7, 40)), 2 * RNG.normal(size=(9, 40))
    assert frechet_distance(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-5)


def test_samples_are_at_no_distance_from_themselves():
    x = RNG.normal(size=(30, 5)).astype(np.float32)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-12)


def test_the_distance_grows_with_the_shift_and_is_never_negative():
    x = RNG.normal(size=(30, 5))
    found = [frechet_distance(x, x + shift) for shift in (0.0, 1e-6, 0.1, 1.0)]
    assert found[0] >= 0
    assert found == sorted(found)
    assert found[-1] == pytest.approx(5)


def test_one_sample_is_refused(refusal):
    assert "but 1 were given" in refusal(frechet_distance, np.zeros((1, 3)), np.zeros((5, 3)))
