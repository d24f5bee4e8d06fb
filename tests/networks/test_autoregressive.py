"""The prior of quantised codes: masks, bits, fit and draws."""

import itertools

import numpy as np
import pytest
import torch

from hourglass.networks import autoregressive
from hourglass.networks.autoregressive import AutoregressivePrior
from hourglass.networks.quantised import Quantised

LEVELS, POSITIONS = 3, 4


@pytest.fixture
def network() -> Quantised:
    torch.manual_seed(0)
    return Quantised([6], POSITIONS, levels=LEVELS, hidden=[8], prior_width=64).eval()


def all_indices() -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(LEVELS), repeat=POSITIONS)))


@pytest.mark.parametrize(("units", "width"), [(4, 64), (8, 64), (4, 2)])
def test_a_position_depends_on_earlier_ones_only(units, width):
    torch.manual_seed(0)
    prior = AutoregressivePrior(units, POSITIONS, LEVELS, width)
    values = torch.randn(units)
    jacobian = torch.autograd.functional.jacobian(lambda v: prior(v[None])[0], values)
    depends = jacobian.abs().sum(1).unflatten(1, (POSITIONS, -1)).sum(2) > 0
    later = torch.ones(POSITIONS, POSITIONS).triu().bool()
    assert not depends[later].any()
    if width > POSITIONS:
        assert depends[~later].all()


def test_the_probabilities_of_all_codes_add_up_to_one(network):
    indices = all_indices()
    bits = network.prior.bits(network.quantiser.values(indices), indices)
    assert float((2.0**-bits).sum()) == pytest.approx(1, rel=1e-5)


def test_the_fit_reaches_the_entropy_and_draws_have_the_distribution_of_the_codes(
    network, monkeypatch
):
    rng = np.random.default_rng(0)
    first = rng.integers(0, LEVELS, 20_000)
    second = np.where(rng.random(20_000) < 0.8, first, rng.integers(0, LEVELS, 20_000))
    third = np.maximum(first, second)
    indices = torch.from_numpy(np.stack([first, second, third, third], 1))
    values = network.quantiser.values(indices)
    monkeypatch.setattr(autoregressive, "STEPS", 800)
    monkeypatch.setattr(autoregressive, "LEARNING_RATE", 0.02)
    parts = slice(None, 15_000), slice(15_000, None)
    network.prior.fit(values[parts[0]], indices[parts[0]], (values[parts[1]], indices[parts[1]]))
    same = 0.8 + 0.2 / LEVELS
    other = (1 - same) / (LEVELS - 1)
    entropy = np.log2(LEVELS) - same * np.log2(same) - (LEVELS - 1) * other * np.log2(other)
    assert float(network.prior.bits(values, indices).mean()) == pytest.approx(entropy, rel=0.03)
    drawn = network.quantiser.indices(network.draw_codes(20_000, 1)).numpy()
    radix = LEVELS ** np.arange(POSITIONS)
    shares = [
        np.bincount(each @ radix, minlength=LEVELS**POSITIONS) / 20_000
        for each in (drawn, indices.numpy())
    ]
    assert np.abs(shares[0] - shares[1]).sum() < 0.1  # total variation of 0.05


def test_draws_depend_on_the_seed_only(network):
    first, again, other = (network.generate(50, seed) for seed in (1, 1, 2))
    assert first.shape == (50, 6)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bits_are_known_exactly():
    assert Quantised([6], 10, levels=8).bits == 30
    assert Quantised([6], 12, quantisation="vq", codebook=256, code_size=3).bits == 32
