"""Corruption of training inputs by the denoising variants."""

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hourglass.models import corruption
from hourglass.models.base import LitAutoencoder
from hourglass.models.corruption import Corruption

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
    module.corruption = Corruption()
    return module


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@NOISY
@pytest.mark.parametrize("noise_factor", [0.1, 0.5, 2.0])
def test_training_inputs_have_noise_of_the_given_standard_deviation(build, name, noise_factor):
    module = build(name, SHAPE, noise_factor=noise_factor, masking=0.0)
    noise = (module.corrupt(X) - X).numpy()
    assert noise.std() == pytest.approx(noise_factor, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.02 * noise_factor)


@NOISY
@pytest.mark.parametrize("masking", [0.1, 0.5])
def test_the_given_fraction_of_training_inputs_is_masked(build, name, masking):
    module = build(name, SHAPE, noise_factor=0.0, masking=masking)
    assert (module.corrupt(X) == 0).float().mean().item() == pytest.approx(masking, abs=0.01)


@NOISY
def test_masked_elements_are_0_despite_noise(build, name):
    module = build(name, SHAPE, noise_factor=0.5, masking=0.25)
    assert (module.corrupt(X) == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)


@NOISY
def test_the_encoder_input_is_corrupted_and_the_target_clean(build, name):
    module = build(name, SHAPE, noise_factor=0.0, masking=0.5)
    torch.manual_seed(1)
    corrupted = module.corrupt(X)
    torch.manual_seed(1)
    loss = module.training_step(X).item()
    output = module(corrupted).detach().numpy()
    assert loss == pytest.approx(np.square(output - X.numpy()).mean(), rel=1e-5)


@NOISY
def test_noise_differs_in_every_step(build, name):
    module = build(name, SHAPE, noise_factor=0.5)
    assert not torch.equal(module.corrupt(X), module.corrupt(X))


@NOISY
def test_noise_changes_the_trained_weights(build, steps, name):
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
    assert torch.equal(module.validation_step(X), module.network.error(X))


@pytest.mark.parametrize(("setting", "value"), [("block", 0.5), ("downsampling", 2)])
def test_the_validation_error_of_inpainting_is_that_of_degraded_images(build, setting, value):
    module = build("denoising", SHAPE, noise_factor=2.0, **{setting: value})
    errors, repeated = module.validation_step(X), module.validation_step(X)
    assert torch.equal(errors, repeated)
    degraded = Corruption(**{setting: value})(X, torch.Generator().manual_seed(0))
    expected = (module(degraded) - X).square().flatten(1).mean(1)
    torch.testing.assert_close(errors, expected)


@TWINS
def test_without_noise_the_weights_are_those_of_the_plain_variant_to_the_bit(
    build, steps, name, twin
):
    plain = build(twin, SHAPE)
    silent = build(name, SHAPE, noise_factor=0.0, masking=0.0)
    assert same(steps(silent), steps(plain))


def test_without_noise_nothing_is_drawn(build, variant):
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
        ("salt_and_pepper", 1.0),
        ("salt_and_pepper", float("nan")),
        ("block", -0.1),
        ("block", 1.0),
        ("downsampling", 0),
        ("downsampling", 9),
    ],
)
@NOISY
def test_noise_out_of_range_is_refused(build, name, setting, value, refusal):
    assert f"{setting} is {value}" in refusal(build, name, SHAPE, **{setting: value})


@NOISY
@pytest.mark.parametrize(
    ("setting", "value"), [("block", 0.25), ("downsampling", 2), ("grey", True)]
)
def test_corruptions_of_images_are_refused_on_tables(build, name, setting, value, refusal):
    sentence = refusal(build, name, (30,), **{setting: value})
    assert f"{setting} is {value}" in sentence
    assert "(30,)" in sentence


def test_grey_is_refused_for_images_without_colours(build, refusal):
    assert "1 channels" in refusal(build, "denoising", SHAPE, grey=True)


def test_every_variant_takes_the_corruptions_of_images(build, variant):
    settings = {"salt_and_pepper": 0.2, "block": 0.5, "downsampling": 2, "grey": True}
    module = build(variant, (3, 8, 8), **settings)
    found = {name: getattr(module.corruption, name) for name in settings}
    assert found == settings
    assert not torch.equal(module.corrupt(X.expand(-1, 3, -1, -1)), X.expand(-1, 3, -1, -1))


def test_several_corruptions_are_applied_in_order():
    x = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    whole = Corruption(
        grey=True, downsampling=2, noise_factor=0.1, salt_and_pepper=0.1, masking=0.1, block=0.5
    )
    torch.manual_seed(1)
    found = whole(x)
    torch.manual_seed(1)
    expected = corruption.gaussian(corruption.downsampling(corruption.grey(x), 2), 0.1)
    expected = corruption.masking(corruption.salt_and_pepper(expected, 0.1), 0.1)
    assert torch.equal(found, corruption.block(expected, 0.5))


def test_the_default_noise_of_a_convolutional_denoiser_is_0_5():
    from hourglass.models.convolutional_denoising import ConvolutionalDenoising

    parameters = inspect.signature(ConvolutionalDenoising).parameters
    assert parameters["noise_factor"].default == 0.5
