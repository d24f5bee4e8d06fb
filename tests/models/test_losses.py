"""Losses by name and their mixtures, in training and validation."""

import pytest
import torch
from torch.nn import functional

from hourglass.models import Convolutional, Denoising, Linear, Stacked, Undercomplete, Variational
from hourglass.networks.similarity import ms_ssim, ssim

SHAPE = (2, 24, 30)
MIXTURES = [
    "ssim",
    "ms_ssim",
    {"mse": 0.5, "ssim": 0.5},
    {"bce": 2.0, "ms_ssim": 0.1},
    {"mse": 1, "bce": 1},
]


def x(n: int = 6) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loss", MIXTURES, ids=str)
def test_the_loss_of_a_batch_is_the_weighted_sum(loss):
    module = Convolutional(SHAPE, 4, (4,), loss=loss).eval()
    terms = {
        "mse": functional.mse_loss(module(x()), x()),
        "bce": functional.binary_cross_entropy(module(x()), x()),
        "ssim": 1 - ssim(x(), module(x())).mean(),
        "ms_ssim": 1 - ms_ssim(x(), module(x())).mean(),
    }
    weights = loss if isinstance(loss, dict) else {loss: 1}
    expected = sum(weight * terms[name] for name, weight in weights.items())
    torch.testing.assert_close(module.training_loss(x()), expected)


@pytest.mark.parametrize("loss", MIXTURES, ids=str)
def test_the_validation_error_is_the_loss_if_it_has_a_similarity_and_the_score_if_not(loss):
    module = Convolutional(SHAPE, 4, (4,), loss=loss).eval()
    errors = module.validation_step(x())
    is_similarity = "ssim" in str(loss)
    expected = module.training_loss(x()) if is_similarity else module.score(x()).mean()
    assert errors.shape == (6,)
    torch.testing.assert_close(errors.mean(), expected)


@pytest.mark.parametrize("kind", [Convolutional, Denoising, Stacked])
def test_training_raises_the_similarity(train, kind):
    torch.manual_seed(0)
    smooth = functional.interpolate(x()[..., :4, :5], SHAPE[1:], mode="bilinear")
    module = kind(SHAPE, 8, loss={"ssim": 0.9, "mse": 0.1}, learning_rate=0.01, schedule="constant")
    before = ssim(smooth, module(smooth)).mean()
    train(module, smooth, 40)
    assert ssim(smooth, module(smooth)).mean() > before + 0.1


def test_trim_leaves_out_the_samples_with_the_lowest_similarity():
    module = Convolutional(SHAPE, 4, (4,), loss="ssim", trim=0.5).eval()
    lowest = (1 - ssim(x(), module(x()))).sort().values[:3]
    torch.testing.assert_close(module.training_loss(x()), lowest.mean())


def test_every_layer_of_a_stack_has_a_loss_that_suits_its_inputs():
    stacked = Stacked(SHAPE, 4, (8,), loss="ssim")
    assert [phase.module.loss for phase in stacked.phases()] == ["ssim", "mse"]


@pytest.mark.parametrize(
    ("kind", "shape", "loss", "parts"),
    [
        (Convolutional, (30,), "ssim", ["loss is 'ssim'", "(30,)", "not images", "use 'mse'"]),
        (Convolutional, (3, 20), {"mse": 1, "ms_ssim": 1}, ["loss is 'ms_ssim'", "not images"]),
        (Undercomplete, (30,), "bce", ["loss is 'bce'", "not bound"]),
        (Linear, SHAPE, "ssim", ["loss is 'ssim'", "not bound"]),
        (Convolutional, (1, 64, 21), "ms_ssim", ["has 21 pixels", "needs 22", "use 'ssim'"]),
        (Variational, SHAPE, "ssim", ["loss is 'ssim'", "give 'mse'"]),
        (Variational, SHAPE, {"mse": 1}, ["loss is {'mse': 1}", "give 'mse'"]),
        (Convolutional, SHAPE, "l1", ["loss is 'l1'", "'ms_ssim'"]),
        (Convolutional, SHAPE, {}, ["loss is {}"]),
        (Convolutional, SHAPE, {"mse": 0.0}, ["weight of mse", "is 0.0"]),
        (Convolutional, SHAPE, {"ssim": float("nan")}, ["weight of ssim", "is nan"]),
    ],
)
def test_a_loss_that_does_not_suit_is_refused_in_one_sentence(refusal, kind, shape, loss, parts):
    sentence = refusal(kind, shape, 4, loss=loss)
    assert all(part in sentence for part in parts)
