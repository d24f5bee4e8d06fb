"""State beyond the network's weights: resumed with the training, and left out of the network."""

import pytest
import torch

from hourglass.networks import autoregressive
from tests.training.conftest import SAMPLES, SHAPE, Images

STATEFUL = {
    "vq": ("quantised", {"quantisation": "vq", "code_size": 1, "codebook": 8}),
    "fsq": ("quantised", {}),
    "adversarial": ("adversarial", {}),
}


@pytest.fixture(params=STATEFUL)
def make(request, build):
    variant, settings = STATEFUL[request.param]
    return lambda: build(variant, SHAPE, schedule="constant", **settings)


def test_a_resumed_training_equals_an_uninterrupted_one(training, same, make):
    whole = training(make(), "whole", epochs=4)
    training(make(), "interrupted", epochs=2)
    resumed = training(make(), "interrupted", epochs=4)
    assert resumed.new_epochs == 2
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


@pytest.mark.parametrize("quantisation", ["fsq", "vq"])
def test_the_prior_is_fitted_to_the_codes_after_the_training(
    training, build, quantisation, monkeypatch
):
    monkeypatch.setattr(autoregressive, "STEPS", 200)
    settings = {"quantisation": quantisation, "code_size": 1, "codebook": 8}
    module, data = training(build("quantised", SHAPE, **settings), epochs=5).module, Images()
    network = module.network
    before, encoder = network.prior_bits(data.x).mean(), network.encoder[1].weight.clone()
    module.after_training([data.x], [data.x])
    bits = network.prior_bits(data.x).mean()
    assert bits < before
    assert bits < network.bits
    assert torch.equal(network.encoder[1].weight, encoder)
    assert not any(weight.requires_grad for weight in network.prior.parameters())


def test_the_number_of_training_samples_comes_from_the_loader(training, build):
    module = build("beta_tc", SHAPE)
    assert module.train_samples == 0
    training(module, epochs=1)
    assert module.train_samples == SAMPLES
