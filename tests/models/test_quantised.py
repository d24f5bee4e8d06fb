"""The quantised variant: its loss, its codebooks in training and its prior."""

import pytest
import torch
from torch.nn import functional

from tests.training.conftest import SHAPE, Images

KINDS = pytest.mark.parametrize("quantisation", ["fsq", "vq"])


@pytest.fixture
def make(build):
    """Give a function that builds a variant with three units, one vector each for vq."""
    return lambda quantisation, **more: build(
        "quantised", SHAPE, quantisation=quantisation, code_size=1, codebook=8, **more
    )


def test_the_loss_of_vq_has_the_commitment_term(make):
    module, x = make("vq", commitment=0.3).eval(), Images().x
    z = module.network.encoder(x)
    values = module.network.quantiser.codebooks[:, :, 0]  # (3, 8)
    nearest = (z[:, :, None] - values).abs().argmin(2)
    quantised = torch.stack([values[j][nearest[:, j]] for j in range(3)], 1)
    expected = functional.mse_loss(module.decode(quantised), x)
    expected = expected + 0.3 * functional.mse_loss(z, quantised)
    torch.testing.assert_close(module.training_loss(x), expected)


def test_codebooks_move_in_training_only(make):
    module, x = make("vq"), Images().x
    before = module.network.quantiser.codebooks.clone()
    module.eval().training_loss(x)
    assert torch.equal(module.network.quantiser.codebooks, before)
    module.train().training_loss(x)
    assert not torch.equal(module.network.quantiser.codebooks, before)


def test_codebooks_move_in_mixed_precision(make):
    module, x = make("vq"), Images().x
    before = module.network.quantiser.codebooks.clone()
    with torch.autocast("cpu", torch.bfloat16):
        module.training_loss(x).backward()
    assert not torch.equal(module.network.quantiser.codebooks, before)


@KINDS
def test_the_averages_of_codebooks_are_not_in_the_trained_network(make, quantisation):
    module = make(quantisation)
    names = set(module.state_dict()) - {f"network.{name}" for name in module.network.state_dict()}
    kept = {"averages.counts", "averages.sums"} if quantisation == "vq" else set()
    assert names == kept


def test_settings_out_of_range_are_refused(build, refusal):
    for setting, value in (("levels", 1), ("commitment", -1.0), ("decay", 1.5), ("prior_width", 0)):
        assert f"{setting} is {value}" in refusal(build, "quantised", SHAPE, **{setting: value})
    message = refusal(build, "quantised", SHAPE, quantisation="vq", code_size=2)
    assert "must divide latent_dim" in message
