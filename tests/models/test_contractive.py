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


def mean_norm(module: Contractive) -> torch.Tensor:
    """Return the mean squared norm of torch's own Jacobians."""
    jacobians = vmap(jacrev(lambda sample: module.encode(sample[None])[0]))(X)
    return jacobians.square().flatten(1).sum(1).mean()


@KINDS
def test_the_loss_is_reconstruction_loss_plus_the_norm_per_element(settings):
    module = contractive(contraction=10.0, **settings)
    penalty = module.training_loss(X) - module.reconstruction_loss(X, module.encode(X))
    torch.testing.assert_close(penalty, 10.0 * mean_norm(module) / 64, rtol=1e-3, atol=1e-7)


@KINDS
def test_the_estimate_converges_with_many_probes(settings):
    module = contractive(jacobian="estimated", probes=1000, **settings)
    penalty = module.penalty(X, module.encode(X))
    torch.testing.assert_close(penalty, 0.1 * mean_norm(module) / 64, rtol=0.02, atol=0)


def test_a_single_layer_needs_no_backward_pass_per_unit(monkeypatch):
    monkeypatch.delattr("hourglass.models.penalties.exact_frobenius")
    assert contractive().frobenius(X).shape == (32,)


def test_the_jacobian_is_taken_at_the_clean_input():
    module = contractive(noise_factor=5.0)
    penalty = module.penalty(X, module.encode(module.corrupt(X)))
    torch.testing.assert_close(penalty, 0.1 * mean_norm(module) / 64)


@pytest.mark.parametrize("jacobian", ["exact", "estimated"])
def test_more_contraction_gives_smaller_jacobians(train, jacobian):
    norms = []
    for contraction in (0.0, 1.0, 100.0):
        module = contractive(contraction=contraction, jacobian=jacobian)
        train(module, X, 100)
        norms.append(mean_norm(module).item())
    assert norms[0] > 2 * norms[1] > 4 * norms[2]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"contraction": -0.1}, "contraction is -0.1"),
        ({"probes": 0}, "probes is 0"),
        ({"architecture": "convolutional", "tied": True}, "tied"),
    ],
)
def test_settings_out_of_range_are_refused(refusal, settings, part):
    assert part in refusal(contractive, **settings)
