"""The contractive penalty against torch.func's Jacobians."""

import pytest
import torch
from torch.func import jacrev, vmap

from hourglass.models.contractive import Contractive

X = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ENCODERS: dict[str, dict] = {
    "layer": {},
    "rectified layer": {"code_activation": "relu"},
    "deep": {"hidden": [8]},
    "convolutional": {"architecture": "convolutional", "channels": [2, 3], "tied": False},
}
KINDS = pytest.mark.parametrize("settings", ENCODERS.values(), ids=ENCODERS)


def contractive(**settings) -> Contractive:
    torch.manual_seed(0)
    return Contractive((1, 8, 8), 4, learning_rate=0.01, schedule="constant", **settings)


def norms(module: Contractive, x: torch.Tensor = X) -> torch.Tensor:
    """Return the squared norms of torch's own Jacobians, (N,)."""
    jacobians = vmap(jacrev(lambda sample: module.encode(sample[None])[0]))(x)
    return jacobians.square().flatten(1).sum(1)


@KINDS
def test_the_loss_is_reconstruction_loss_plus_the_norm_per_element(settings):
    module = contractive(contraction=10.0, **settings)
    found = module.training_loss(X) - module.reconstruction_loss(X, module.encode(X))
    torch.testing.assert_close(found, 10.0 * norms(module).mean() / 64, rtol=1e-3, atol=1e-7)


@KINDS
def test_the_estimate_converges_with_many_probes(settings):
    module = contractive(jacobian="estimated", probes=1000, **settings)
    torch.testing.assert_close(
        module.penalty(X, module.encode(X)), 0.1 * norms(module).mean() / 64, rtol=0.02, atol=0
    )


def test_a_single_layer_needs_no_backward_pass_per_unit(monkeypatch):
    monkeypatch.delattr("hourglass.models.penalties.exact_frobenius")
    assert contractive().frobenius(X).shape == (32,)


def test_the_jacobian_is_taken_at_the_clean_input():
    module = contractive(noise_factor=5.0)
    found = module.penalty(X, module.encode(module.corrupt(X)))
    torch.testing.assert_close(found, 0.1 * norms(module).mean() / 64)


@pytest.mark.parametrize("jacobian", ["exact", "estimated"])
def test_more_contraction_gives_smaller_jacobians(train, jacobian):
    slopes = []
    for contraction in (0.0, 1.0, 100.0):
        module = contractive(contraction=contraction, jacobian=jacobian)
        train(module, X, 100)
        slopes.append(norms(module).mean().item())
    assert slopes[0] > 2 * slopes[1] > 4 * slopes[2]


@pytest.mark.parametrize(("setting", "value"), [("contraction", -0.1), ("probes", 0)])
def test_settings_out_of_range_are_refused(refusal, setting, value):
    assert f"{setting} is {value}" in refusal(contractive, **{setting: value})


def test_tied_convolutions_are_refused(refusal):
    assert "tied" in refusal(contractive, architecture="convolutional", tied=True)
