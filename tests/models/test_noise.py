import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hourglass.models.base import LitAutoencoder

NOISY = pytest.mark.parametrize(
    "name", ["denoising", "convolutional_denoising", "overcomplete", "stacked"]
)
# A denoising variant and the one that it is without noise.
TWINS = pytest.mark.parametrize(
    ("name", "twin"),
    [("denoising", "undercomplete"), ("convolutional_denoising", "convolutional")],
)
SHAPE = (1, 8, 8)
X = torch.rand(2000, *SHAPE, generator=torch.Generator().manual_seed(0)) + 0.5


@pytest.fixture
def steps(train) -> Callable[[LitAutoencoder], dict[str, torch.Tensor]]:
    """Give a function that returns the weights after some optimiser steps from the same seed."""

    def take(module: LitAutoencoder) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        train(module, X[:32], 5)
        return module.network.state_dict()

    return take


def still(module: LitAutoencoder) -> LitAutoencoder:
    """Return it without its noise, which some variants cannot be built without."""
    module.noise_factor = module.masking = 0.0
    return module


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@NOISY
@pytest.mark.parametrize("noise_factor", [0.1, 0.5, 2.0])
def test_training_inputs_get_noise_of_the_standard_deviation_asked_for(build, name, noise_factor):
    module = build(name, SHAPE, noise_factor=noise_factor, masking=0.0)
    noise = (module.corrupt(X) - X).numpy()
    assert noise.std() == pytest.approx(noise_factor, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.02 * noise_factor)


@NOISY
@pytest.mark.parametrize("masking", [0.1, 0.5])
def test_training_inputs_lose_the_fraction_of_elements_asked_for(build, name, masking):
    module = build(name, SHAPE, noise_factor=0.0, masking=masking)
    assert (module.corrupt(X) == 0).float().mean().item() == pytest.approx(masking, abs=0.01)


@NOISY
def test_masked_elements_are_0_though_there_is_noise(build, name):
    module = build(name, SHAPE, noise_factor=0.5, masking=0.25)
    assert (module.corrupt(X) == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)


@NOISY
def test_the_encoder_sees_the_corrupted_input_and_the_loss_the_clean_one(build, name):
    module = build(name, SHAPE, noise_factor=0.0, masking=0.5)
    torch.manual_seed(1)
    corrupted = module.corrupt(X)
    torch.manual_seed(1)
    loss = module.training_step(X).item()
    output = module(corrupted).detach().numpy()
    assert loss == pytest.approx(np.square(output - X.numpy()).mean(), rel=1e-5)


@NOISY
def test_noise_is_another_one_in_every_step(build, name):
    module = build(name, SHAPE, noise_factor=0.5)
    assert not torch.equal(module.corrupt(X), module.corrupt(X))


@NOISY
def test_training_with_noise_gives_other_weights_than_without(build, steps, name):
    noisy = build(name, SHAPE, noise_factor=0.5, masking=0.0)
    assert not same(steps(noisy), steps(still(build(name, SHAPE))))


@NOISY
@pytest.mark.parametrize("training", [False, True])
def test_scores_are_those_of_the_same_weights_without_noise(build, name, training):
    noisy = build(name, SHAPE, noise_factor=2.0, masking=0.5).train(training)
    clean = still(build(name, SHAPE))
    clean.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy.score(X), clean.score(X))


@NOISY
def test_the_validation_error_is_without_noise(build, name):
    module = build(name, SHAPE, noise_factor=2.0, masking=0.5)
    module.on_validation_epoch_start()
    module.validation_step(X)
    mean = module._error_sum.item() / module._errors
    assert mean == pytest.approx(module.network.error(X).mean().item(), rel=1e-5)


@TWINS
def test_without_noise_the_weights_are_those_of_the_plain_variant_to_the_bit(
    build, steps, name, twin
):
    plain = build(twin, SHAPE)
    silent = build(name, SHAPE, noise_factor=0.0, masking=0.0)
    assert same(steps(silent), steps(plain))


def test_without_noise_nothing_is_drawn_at_random(build, variant):
    module = still(build(variant, SHAPE))
    before = torch.get_rng_state()
    assert torch.equal(module.corrupt(X), X)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("noise_factor", -0.1),
        ("noise_factor", float("nan")),
        ("masking", -0.1),
        ("masking", 1.0),
        ("masking", float("nan")),
    ],
)
@NOISY
def test_noise_out_of_range_is_refused(build, name, setting, value, refusal):
    assert f"{setting} is {value}" in refusal(build, name, SHAPE, **{setting: value})


def test_the_classic_noise_of_a_convolutional_denoiser_is_a_half():
    from hourglass.models.convolutional_denoising import ConvolutionalDenoising

    parameters = inspect.signature(ConvolutionalDenoising).parameters
    assert parameters["noise_factor"].default == 0.5
