"""Losses without the samples of the highest loss in each batch."""

import numpy as np
import pytest
import torch


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_loss_is_the_mean_of_the_lowest_losses_of_a_batch(build, loss):
    module = build("undercomplete", (1, 2, 4), trim=0.25, loss=loss)
    x, logits = torch.rand(10, 1, 2, 4), torch.randn(10, 1, 2, 4)
    output = logits.sigmoid()
    entropies = -(x * output.log() + (1 - x) * (1 - output).log())
    losses = {"mse": (output - x).square(), "bce": entropies}[loss].flatten(1).mean(1)
    expected = np.sort(losses.numpy())[:8].mean()  # a quarter of 10, rounded down, is left out
    assert module.logits_loss(x, logits).item() == pytest.approx(expected, rel=1e-5)


def test_a_share_without_effect_on_a_small_batch_changes_nothing(build):
    x = torch.rand(3, 12)
    plain, trimmed = (build("undercomplete", (12,), trim=trim) for trim in (0.0, 0.3))
    z = plain.encode(x)
    torch.testing.assert_close(trimmed.reconstruction_loss(x, z), plain.reconstruction_loss(x, z))


def test_trimmed_training_hardly_follows_an_outlier(build, train):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 1, generator=generator) @ torch.ones(1, 12)
    x[0] = torch.tensor([30.0, -30.0] * 6)
    errors = []
    for trim in (0.0, 0.1):
        module = build("undercomplete", (12,), trim=trim, learning_rate=0.01)
        train(module, x, 200)
        errors.append(module.score(x[1:]).mean().item())
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("trim", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(build, refusal, trim):
    assert "trim" in refusal(build, "denoising", (12,), trim=trim)
