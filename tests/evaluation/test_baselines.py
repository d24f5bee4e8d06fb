"""Baselines: Mahalanobis distances against scikit-learn, and the limits on training samples."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from hourglass.evaluation import baselines
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
