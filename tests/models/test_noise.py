"""Corruption of training inputs by the variants."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hourglass.models.base import LitAutoencoder
from hourglass.models.convolutional_denoising import ConvolutionalDenoising
from hourglass.models.corruption import Corruption

NOISY = pytest.mark.parametrize(
    "name", ["denoising", "convolutional_denoising", "overcomplete", "stacked"]
)
SHAPE = (1, 8, 8)
X = torch.rand(500, *SHAPE, generator=torch.Generator().manual_seed(0)) + 0.5


def without_noise(module: LitAutoencoder) -> LitAutoencoder:
    """Remove the corruption, which some variants cannot be built without."""
    module.corruption = Corruption()
    return module


@NOISY
def test_a_variant_has_the_given_corruption(build, name):
    settings = {"noise_factor": 0.5, "masking": 0.25}
    module = build(name, SHAPE, **settings)
    assert module.corruption == Corruption(**settings)
    assert not torch.equal(module.corrupt(X), module.corrupt(X))


def test_every_variant_takes_the_corruptions_of_images(build, variant):
    settings = {"salt_and_pepper": 0.2, "block": 0.5, "downsampling": 2, "grey": True}
    module, x = build(variant, (3, 8, 8), **settings), X.expand(-1, 3, -1, -1)
    assert {name: getattr(module.corruption, name) for name in settings} == settings
    assert not torch.equal(module.corrupt(x), x)


def test_the_default_noise_of_a_convolutional_denoiser_is_0_5():
    assert ConvolutionalDenoising(SHAPE).corruption == Corruption(noise_factor=0.5)


@NOISY
def test_the_encoder_input_is_corrupted_and_the_target_clean(build, name):
    module = build(name, SHAPE, noise_factor=0.0, masking=0.5)
    torch.manual_seed(1)
    output = module(module.corrupt(X)).detach().numpy()
    torch.manual_seed(1)
    loss = module.training_step(X).item()
    assert loss == pytest.approx(np.square(output - X.numpy()).mean(), rel=1e-5)


@NOISY
@pytest.mark.parametrize("training", [False, True])
def test_scores_and_validation_errors_are_without_noise(build, name, training):
    noisy = build(name, SHAPE, noise_factor=2.0, masking=0.5).train(training)
    clean = without_noise(build(name, SHAPE))
    clean.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy.score(X), clean.score(X))
    assert torch.equal(noisy.validation_step(X), noisy.network.error(X))


@pytest.mark.parametrize(("setting", "value"), [("block", 0.5), ("downsampling", 2)])
def test_the_validation_error_of_inpainting_is_that_of_degraded_images(build, setting, value):
    module = build("denoising", SHAPE, noise_factor=2.0, **{setting: value})
    errors = module.validation_step(X)
    assert torch.equal(errors, module.validation_step(X))
    degraded = Corruption(**{setting: value})(X, torch.Generator().manual_seed(0))
    expected = (module(degraded) - X).square().flatten(1).mean(1)
    torch.testing.assert_close(errors, expected)


@pytest.fixture
def trained_weights(train) -> Callable[[LitAutoencoder], list[Tensor]]:
    """Give a function that returns the weights after some optimiser steps from the same seed."""

    def steps(module: LitAutoencoder) -> list[Tensor]:
        torch.manual_seed(1)
        train(module, X[:32], 5)
        return list(module.network.state_dict().values())

    return steps


@pytest.mark.parametrize(
    ("name", "plain"),
    [("denoising", "undercomplete"), ("convolutional_denoising", "convolutional")],
)
def test_without_noise_the_weights_are_those_of_the_plain_variant(
    build, trained_weights, name, plain
):
    silent = build(name, SHAPE, noise_factor=0.0, masking=0.0)
    expected = trained_weights(build(plain, SHAPE))
    assert all(map(torch.equal, trained_weights(silent), expected))


def test_without_noise_nothing_is_drawn(build, variant):
    if variant == "masked":
        pytest.skip("it hides cells whatever the corruption, see test_masked")
    module = without_noise(build(variant, SHAPE))
    before = torch.get_rng_state()
    assert torch.equal(module.corrupt(X), X)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("shape", "setting", "value", "part"),
    [
        (SHAPE, "noise_factor", -0.1, "noise_factor is -0.1"),
        (SHAPE, "noise_factor", float("nan"), "noise_factor is nan"),
        (SHAPE, "masking", -0.1, "masking is -0.1"),
        (SHAPE, "masking", 1.0, "masking is 1.0"),
        (SHAPE, "masking", float("nan"), "masking is nan"),
        (SHAPE, "salt_and_pepper", 1.0, "salt_and_pepper is 1.0"),
        (SHAPE, "salt_and_pepper", float("nan"), "salt_and_pepper is nan"),
        (SHAPE, "block", -0.1, "block is -0.1"),
        (SHAPE, "block", 1.0, "block is 1.0"),
        (SHAPE, "downsampling", 0, "downsampling is 0"),
        (SHAPE, "downsampling", 9, "downsampling is 9"),
        (SHAPE, "grey", True, "1 channels"),
        ((30,), "block", 0.25, "block is 0.25, but samples of shape (30,)"),
        ((30,), "downsampling", 2, "downsampling is 2, but samples of shape (30,)"),
        ((30,), "grey", True, "grey is True, but samples of shape (30,)"),
    ],
)
def test_a_corruption_that_does_not_apply_is_refused(build, refusal, shape, setting, value, part):
    assert part in refusal(build, "denoising", shape, **{setting: value})
