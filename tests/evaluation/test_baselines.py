"""Baselines: Mahalanobis distances against scikit-learn, and the limits on training samples."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import PreparedInMemory, Samples
from hourglass.evaluation import baselines
from hourglass.evaluation.marginal_frequencies import marginal_frequencies
from hourglass.evaluation.shrunk_covariance import ShrunkCovariance

SHAPES = {
    "more samples": (500, 20),
    "more features": (20, 500),
    "as many": (60, 60),
    "one feature": (10, 1),
    "two samples": (2, 40),
}
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "correlated": lambda x: x,
    "a constant feature": lambda x: np.where(np.arange(x.shape[1]) == 0, 2.5, x),
    "scales apart": lambda x: x * np.logspace(-3, 3, x.shape[1]),
    "float32": lambda x: x.astype(np.float32),
}


def samples(count: int, features: int, seed: int) -> np.ndarray:
    mixing = np.random.default_rng(0).normal(size=(features, features))
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, (count, features)) @ mixing + rng.normal(size=(count, features))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_squared_distances_are_those_of_ledoit_and_wolf(shape, kind):
    count, features = SHAPES[shape]
    train, new = (KINDS[kind](samples(n, features, seed)) for n, seed in ((count, 1), (50, 2)))
    expected = LedoitWolf().fit(train.astype(np.float64)).mahalanobis(new.astype(np.float64))
    distances = ShrunkCovariance.fit(train).squared_distances(new)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.filterwarnings("ignore:Only one sample:UserWarning")
def test_samples_without_variance_have_no_distances(count):
    train = np.full((count, 4), 3.0)
    new = samples(5, 4, 0)
    assert ShrunkCovariance.fit(train).squared_distances(new).tolist() == [0] * 5
    assert LedoitWolf().fit(train).mahalanobis(new).tolist() == [0] * 5


def test_neighbors_use_all_samples_up_to_the_limit(monkeypatch):
    train, new = (samples(n, 3, seed).astype(np.float32) for n, seed in ((40, 1), (10, 2)))
    unlimited = baselines.neighbors(train, 0)(new)
    monkeypatch.setattr(baselines, "MAX_NEIGHBORS_SAMPLES", 40)
    np.testing.assert_array_equal(baselines.neighbors(train, 0)(new), unlimited)
    monkeypatch.setattr(baselines, "MAX_NEIGHBORS_SAMPLES", 20)
    limited = baselines.neighbors(train, 0)(new)
    assert (limited >= unlimited).all()
    assert (limited > unlimited).any()


def test_mahalanobis_of_many_features_uses_few_samples(monkeypatch):
    train, new = samples(30, 12, 1), samples(10, 12, 2)
    monkeypatch.setattr(baselines, "MAX_DECOMPOSED", 10)
    subset = train[np.random.default_rng(3).permutation(30)[:10]]
    expected = np.sqrt(LedoitWolf().fit(subset).mahalanobis(new))
    np.testing.assert_allclose(baselines.mahalanobis(train, 3)(new), expected, rtol=1e-12)


def test_blocks_of_samples_do_not_matter(monkeypatch):
    covariance, new = ShrunkCovariance.fit(samples(30, 12, 1)), samples(50, 12, 2)
    whole = covariance.squared_distances(new)
    monkeypatch.setattr("hourglass.evaluation.shrunk_covariance.BLOCK_ELEMENTS", 36)
    np.testing.assert_allclose(covariance.squared_distances(new), whole, rtol=1e-12)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_pca_of_few_components_of_large_data_is_exact(monkeypatch, shape):
    train, new = (
        samples(n, shape[1], seed).astype(np.float32) for n, seed in ((shape[0], 1), (9, 2))
    )
    exact = baselines.pca(train, 4)(new)
    monkeypatch.setattr(baselines, "MAX_DECOMPOSED", 10)
    np.testing.assert_allclose(baselines.pca(train, 4)(new), exact, rtol=1e-4)


def test_marginal_frequencies_are_sums_of_negative_log_frequencies():
    columns = [Column("a", "categorical", levels=("x", "y")), Column("b", "boolean"), Column("c")]
    rng = np.random.default_rng(0)
    train = np.stack(
        [rng.integers(0, 2, 200), rng.integers(0, 2, 200), rng.normal(size=200)], 1
    ).astype(float)
    train[:20, 0] = np.nan
    card = {"columns": [column.to_dict() for column in columns]}
    score = marginal_frequencies(
        PreparedInMemory(Path("x"), card, {"train": Samples.normal(train)})
    )

    def surprise(count: int, places: int) -> float:
        return -math.log((count + 1) / (200 + places))

    usual = [
        surprise(int((train[:, 0] == 1).sum()), 4),
        surprise(int((train[:, 1] == 0).sum()), 3),
        surprise(20, 13),  # ten bins of 20, two beyond the range, and one of missing cells
    ]
    np.testing.assert_allclose(score(np.array([[1.0, 0, 0.01]])), [sum(usual)])
    rare = [surprise(0, 4), usual[1], surprise(0, 13)]
    np.testing.assert_allclose(score(np.array([[2.0, 0, 100], [2, 0, -100]])), [sum(rare)] * 2)
    missing = [surprise(20, 4), surprise(0, 3), surprise(0, 13)]
    np.testing.assert_allclose(score(np.full((1, 3), np.nan)), [sum(missing)])
