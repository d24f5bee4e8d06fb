"""An ensemble is its members: joined codes, averaged outputs, a loss for each of them."""

import pytest
import torch
from torch.nn import functional

from hourglass.models.ensemble import Ensemble


@pytest.fixture
def module() -> Ensemble:
    torch.manual_seed(0)
    return Ensemble((6,), members=3, width=4)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(10, 6, generator=torch.Generator().manual_seed(1))


def outputs(module: Ensemble, x: torch.Tensor) -> list[torch.Tensor]:
    """Return the reconstruction of each member, computed from its own modules."""
    encoders, decoders = module.network.encoder.children(), module.network.decoder.children()
    return [decode(encode(x)) for encode, decode in zip(encoders, decoders, strict=True)]


def test_the_reconstruction_is_the_mean_of_the_members(module, x):
    torch.testing.assert_close(module(x), sum(outputs(module, x)) / 3)
    assert module.encode(x).shape == (10, 12)


def test_the_loss_is_the_mean_of_the_members_losses_not_that_of_their_mean(module, x):
    module.corrupt = lambda samples: samples
    losses = [functional.mse_loss(output, x) for output in outputs(module, x)]
    torch.testing.assert_close(module.training_loss(x), sum(losses) / 3)
    assert module.training_loss(x) > functional.mse_loss(module(x), x)


def test_members_start_apart_and_draw_their_own_noise(module, x):
    drawn = []
    module.corrupt = lambda samples: drawn.append(torch.randn(1)) or samples
    module.training_loss(x)
    assert len(drawn) == 3
    first, second, third = outputs(module, x)
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


def test_missing_cells_are_filled_in_every_member(module, x):
    number = {"kind": "numeric", "width": 1, "indicator": False, "missing_share": 0.1, "count": 9}
    module.add_heads([number] * 6)
    module.eval()
    filled, x[0, 2] = x.clone(), float("nan")
    filled[0, 2] = 0
    torch.testing.assert_close(module(x), module(filled))


@pytest.mark.parametrize("setting", ["members", "width"])
def test_a_number_below_one_is_refused(refusal, setting):
    assert f"{setting} is 0" in refusal(Ensemble, (6,), **{setting: 0})
