"""The activity of sparse codes against their target."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.distributions import Bernoulli, kl_divergence

from hourglass.models.sparse import Sparse

SHAPE = (1, 8, 8)
UNITS = 32
X = torch.tensor(load_digits().images[:200, None] / 16, dtype=torch.float32)


def sparse(**settings) -> Sparse:
    torch.manual_seed(0)
    kind = settings.pop("sparsity", "kl")
    return Sparse(SHAPE, UNITS, sparsity=kind, learning_rate=0.01, schedule="constant", **settings)


@pytest.fixture
def codes(train):
    """Give a function that returns the codes of digits by a sparse autoencoder trained on them."""

    def trained(**settings) -> np.ndarray:
        module = sparse(**settings)
        train(module, X, 300)
        return module.encode(X).detach().numpy()

    return trained


@pytest.mark.parametrize(("target", "weight"), [(0.05, 10.0), (0.2, 1.0)])
def test_units_have_the_target_activity(codes, target, weight):
    mean = codes(target=target, sparsity_weight=weight).mean(0)
    assert mean.mean() == pytest.approx(target, rel=0.2)
    assert np.abs(mean / target - 1).max() < 0.2


def test_more_weight_on_kl_gives_fewer_active_units(codes):
    active = [(codes(sparsity_weight=w) > 0.5).sum(1).mean() for w in (0.0, 0.1, 1.0, 10.0)]
    assert all(more > 1.2 * fewer for more, fewer in pairwise(active))


def test_more_weight_on_l1_gives_more_zeros(codes):
    zeros = [(codes(sparsity="l1", sparsity_weight=w) == 0).mean() for w in (0.0, 0.1, 1.0)]
    assert all(fewer + 0.1 < more for fewer, more in pairwise(zeros))


def test_more_weight_on_l1_of_a_deep_network_gives_more_zeros(codes):
    weights = (0.0, 0.01, 0.1)
    zeros = [(codes(sparsity="l1", hidden=[48], sparsity_weight=w) == 0).mean() for w in weights]
    assert all(fewer + 0.1 < more for fewer, more in pairwise(zeros))


def divergence(z: torch.Tensor) -> torch.Tensor:
    return kl_divergence(Bernoulli(torch.tensor(0.1)), Bernoulli(z.mean(0))).sum()


def absolute_sum(z: torch.Tensor) -> torch.Tensor:
    return z.abs().sum(1).mean()


@pytest.mark.parametrize(("sparsity", "expected"), [("kl", divergence), ("l1", absolute_sum)])
def test_the_loss_is_reconstruction_loss_plus_the_penalty_per_element(sparsity, expected):
    module = sparse(sparsity=sparsity, hidden=[48], target=0.1, sparsity_weight=3.0)
    z = module.encode(X)
    penalty = module.training_loss(X) - module.reconstruction_loss(X, z)
    torch.testing.assert_close(penalty, 3.0 * expected(z) / 64, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("sparsity", "most"), [("kl", 1.0), ("l1", float("inf"))])
def test_units_have_the_range_of_their_penalty(sparsity, most):
    z = sparse(sparsity=sparsity).encode(1e3 * (X - 0.5))
    assert z.min() >= 0
    assert 1 <= z.max() <= most


@pytest.mark.parametrize(
    ("setting", "value"),
    [("target", 0.0), ("target", 1.0), ("target", float("nan")), ("sparsity_weight", -1.0)],
)
def test_settings_out_of_range_are_refused(refusal, setting, value):
    assert f"{setting} is {value}" in refusal(sparse, **{setting: value})
