"""Samplers: the distributions of the drawn codes."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.datasets import make_blobs

from hourglass.networks import Dense
from hourglass.networks.quantised import Quantised
from hourglass.networks.variational import Variational
from hourglass.studies.generation.samplers import (
    MAX_CODES,
    MAX_MIXTURE_UNITS,
    Mixture,
    Sampler,
    fit_samplers,
    subsample,
)

RNG = np.random.default_rng(0)
CORRELATED = (RNG.normal(size=(2_000, 4)) @ RNG.normal(size=(4, 4)) + 3).astype(np.float32)
NAMES = ["prior", "gaussian", "mixture", "uniform"]


def fit(codes: np.ndarray) -> dict[str, Sampler]:
    return fit_samplers(Variational([6], codes.shape[1]), codes, seed=0)


def blobs(count: int) -> np.ndarray:
    """Return 500 codes of three units around each of `count` centres on a line."""
    centres = 40.0 * np.arange(count)[:, None] * np.ones(3)
    codes, _ = make_blobs(500 * count, centers=centres, random_state=0)
    return codes.astype(np.float32)


def test_a_network_with_a_prior_samples_from_it():
    assert list(fit(CORRELATED)) == NAMES
    quantised = Quantised([6], 4, levels=3)
    drawn = fit_samplers(quantised, CORRELATED, 0)["prior"](50, 1)
    np.testing.assert_array_equal(drawn, quantised.draw_codes(50, 1))
    assert len(np.unique(drawn)) == 3
    assert list(fit_samplers(Dense([6], 4), CORRELATED, 0)) == NAMES[1:]


@pytest.mark.parametrize("name", NAMES)
def test_draws_depend_on_the_seed_only(name):
    first, again, other = (fit(CORRELATED)[name](50, seed) for seed in (1, 1, 2))
    assert first.shape == (50, 4)
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()
    assert not np.isin(first, other).any()


@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_draws_have_the_mean_and_the_covariance_of_the_codes(name):
    drawn = fit(CORRELATED)[name](40_000, 0)
    scale = CORRELATED.std(0).max()
    np.testing.assert_allclose(drawn.mean(0), CORRELATED.mean(0), atol=0.02 * scale)
    expected = np.cov(CORRELATED, rowvar=False)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), expected, atol=0.03 * scale**2)


def test_the_prior_is_standard_normal_and_uniform_fills_the_bounding_box():
    low, high = CORRELATED.min(0), CORRELATED.max(0)
    place = (fit(CORRELATED)["uniform"](5_000, 0) - low) / (high - low)
    for drawn, name in ((fit(CORRELATED)["prior"](5_000, 0), "norm"), (place, "uniform")):
        assert all(kstest(unit, name).pvalue > 0.001 for unit in drawn.T)


@pytest.mark.parametrize("count", [1, 5, 10])
def test_bic_selects_as_many_components_as_there_are_blobs(count):
    assert Mixture.fit(blobs(count), 0).mixture.n_components == count


def test_a_mixture_draws_evenly_from_all_blobs_in_random_order():
    drawn = Mixture.fit(blobs(5), 0)(1_000, 0)
    blob = np.round(drawn[:, 0] / 40).astype(int)
    assert np.abs(drawn - 40 * blob[:, None]).max() < 6  # standard deviation 1: none between blobs
    for part in (blob, blob[:500]):
        np.testing.assert_allclose(np.bincount(part, minlength=5) / len(part), 0.2, atol=0.08)


def test_a_mixture_of_wide_codes_keeps_the_variance_outside_its_components():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(3_000, 100)) @ np.diag(np.linspace(1, 2, 100))
    mixture = Mixture.fit(codes.astype(np.float32), 0)
    assert mixture.mixture.means_.shape[1] == MAX_MIXTURE_UNITS
    np.testing.assert_allclose(mixture(20_000, 0).std(0), codes.std(0), rtol=0.05)


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("units", [10, 100])
def test_codes_may_be_fewer_than_units_and_units_constant(name, units):
    codes = np.random.default_rng(0).normal(size=(7, units)).astype(np.float32)
    codes[:, 0] = 4
    drawn = fit(codes)[name](20, 0)
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn[:, 0], 4, atol=0.05)
    assert np.allclose(fit(np.full((9, 3), 2, np.float32))[name](5, 0), 2)


@pytest.mark.parametrize("count", [1, MAX_CODES, MAX_CODES + 1, 10 * MAX_CODES])
def test_a_subsample_spans_all_codes(count):
    chosen = subsample(np.arange(count))
    assert min(count, MAX_CODES // 2) <= len(chosen) <= MAX_CODES
    assert chosen[0] == 0
    assert chosen[-1] >= count - count // MAX_CODES - 1
