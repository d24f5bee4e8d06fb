"""Samplers: the distributions of the drawn codes."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.datasets import make_blobs

from hourglass.networks import Dense
from hourglass.networks.variational import Variational
from hourglass.studies.generation.samplers import (
    MAX_CODES,
    MAX_MIXTURE_UNITS,
    Gaussian,
    Mixture,
    Prior,
    Sampler,
    Uniform,
    fit_samplers,
    subsample,
)

RNG = np.random.default_rng(0)
CORRELATED = (RNG.normal(size=(2_000, 4)) @ RNG.normal(size=(4, 4)) + 3).astype(np.float32)
KINDS: list[type[Sampler]] = [Prior, Gaussian, Mixture, Uniform]


def blobs(count: int, units: int = 3) -> np.ndarray:
    """Return 500 codes around each of `count` centres on a line."""
    centres = 40.0 * np.arange(count)[:, None] * np.ones(units)
    codes, _ = make_blobs(500 * count, centers=centres, random_state=0)
    return codes.astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_depend_on_the_seed_only(kind):
    first, again, other = (kind.fit(CORRELATED, 0).sample(50, seed) for seed in (1, 1, 2))
    assert first.shape == (50, 4)
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()
    assert not np.isin(first, other).any()


@pytest.mark.parametrize("kind", [Gaussian, Mixture])
def test_draws_have_the_mean_and_the_covariance_of_the_codes(kind, refusal):
    drawn = kind.fit(CORRELATED).sample(40_000)
    scale = CORRELATED.std(0).max()
    np.testing.assert_allclose(drawn.mean(0), CORRELATED.mean(0), atol=0.02 * scale)
    expected = np.cov(CORRELATED, rowvar=False)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), expected, atol=0.03 * scale**2)
    assert "but has 1" in refusal(kind.fit, CORRELATED[:1])


def test_the_prior_is_standard_normal_and_uniform_fills_the_bounding_box():
    low, high = CORRELATED.min(0), CORRELATED.max(0)
    place = (Uniform.fit(CORRELATED).sample(5_000) - low) / (high - low)
    for drawn, name in ((Prior.fit(CORRELATED).sample(5_000), "norm"), (place, "uniform")):
        assert all(kstest(unit, name).pvalue > 0.001 for unit in drawn.T)


@pytest.mark.parametrize("count", [1, 5, 10])
def test_bic_selects_as_many_components_as_there_are_blobs(count):
    assert Mixture.fit(blobs(count)).mixture.n_components == count


def test_a_mixture_draws_evenly_from_all_blobs_in_random_order():
    drawn = Mixture.fit(blobs(5)).sample(1_000)
    blob = np.round(drawn[:, 0] / 40).astype(int)
    assert np.abs(drawn - 40 * blob[:, None]).max() < 6  # standard deviation 1: none between blobs
    for part in (blob, blob[:500]):
        np.testing.assert_allclose(np.bincount(part, minlength=5) / len(part), 0.2, atol=0.08)


def test_a_mixture_of_wide_codes_keeps_the_variance_outside_its_components():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(3_000, 100)) @ np.diag(np.linspace(1, 2, 100))
    mixture = Mixture.fit(codes.astype(np.float32))
    assert mixture.mixture.means_.shape[1] == MAX_MIXTURE_UNITS
    np.testing.assert_allclose(mixture.sample(20_000).std(0), codes.std(0), rtol=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("units", [10, 100])
def test_codes_may_be_fewer_than_units_and_units_constant(kind, units):
    codes = np.random.default_rng(0).normal(size=(7, units)).astype(np.float32)
    codes[:, 0] = 4
    drawn = kind.fit(codes).sample(20)
    assert np.isfinite(drawn).all()
    if kind is not Prior:
        np.testing.assert_allclose(drawn[:, 0], 4, atol=0.05)
        assert np.allclose(kind.fit(np.full((9, 3), 2, np.float32)).sample(5), 2)


def test_only_a_variational_network_has_a_prior():
    shared = ["gaussian", "mixture", "uniform"]
    assert list(fit_samplers(Dense([6], 4), CORRELATED)) == shared
    assert list(fit_samplers(Variational([6], 4), CORRELATED)) == ["prior", *shared]


@pytest.mark.parametrize("count", [1, MAX_CODES, MAX_CODES + 1, 10 * MAX_CODES])
def test_a_subsample_spans_all_codes(count):
    chosen = subsample(np.arange(count))
    assert min(count, MAX_CODES // 2) <= len(chosen) <= MAX_CODES
    assert chosen[0] == 0
    assert chosen[-1] >= count - count // MAX_CODES - 1
