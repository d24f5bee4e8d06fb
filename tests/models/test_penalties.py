"""Penalties against torch.func's Jacobians and torch.distributions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, kl_divergence
from torch.func import functional_call, jacrev, vmap

from hourglass.models import penalties
from hourglass.networks import ACTIVATIONS, Convolutional, Dense, Network

# An encoder of one dense layer, a deep one, and convolutional ones in two dimensions and in one.
ENCODERS: dict[str, tuple[Callable[..., Network], tuple[int, ...], dict]] = {
    "layer": (Dense, (9,), {"code_activation": "sigmoid"}),
    "deep": (Dense, (1, 3, 3), {"hidden": [7, 6], "activation": "tanh"}),
    "images": (Convolutional, (2, 5, 3), {"channels": [3, 4], "activation": "silu"}),
    "vectors": (Convolutional, (9,), {"channels": [3, 4], "activation": "elu"}),
}
COPIES = 20_000


@pytest.fixture(params=ENCODERS)
def network(request) -> Network:
    kind, shape, settings = ENCODERS[request.param]
    torch.manual_seed(0)
    return kind(shape, 4, **settings).double()


def samples(shape: tuple[int, ...], n: int = 3) -> Tensor:
    return torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def jacobians(network: nn.Module, x: Tensor) -> Tensor:
    """Return torch's own Jacobians, (N, latent_dim, elements), differentiable by the weights."""
    weights: dict[str, Tensor] = dict(network.named_parameters())

    def encode_one(sample: Tensor) -> Tensor:
        return functional_call(network, weights, (sample[None],))[0]

    return vmap(jacrev(encode_one))(x).flatten(2)


def assert_norms(encoder: nn.Module, norms: Tensor, x: Tensor) -> None:
    """Compare norms, and their derivatives by the weights, with those of torch's Jacobians."""
    expected, weights = jacobians(encoder, x).square().sum((1, 2)), list(encoder.parameters())
    gradients, exact = (
        torch.autograd.grad(values.sum(), weights, materialize_grads=True)
        for values in (norms, expected)
    )
    torch.testing.assert_close(norms, expected, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(gradients, exact, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_closed_form_of_a_layer_is_the_norm_of_its_jacobian(activation):
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(9, 6), ACTIVATIONS[activation]()).double()
    x = samples((9,), 20)
    assert_norms(layer, penalties.layer_frobenius(layer[0], layer[1], x), x)


def test_the_exact_norm_is_that_of_the_jacobian_of_each_sample(network):
    x = samples(network.sample_shape)
    norms = penalties.exact_frobenius(network.encode, x)
    assert_norms(network.encoder, norms, x)
    torch.testing.assert_close(penalties.exact_frobenius(network.encode, x[:1]), norms[:1])


@pytest.mark.parametrize("method", [penalties.exact_frobenius, penalties.estimated_frobenius])
def test_norms_are_computed_under_no_grad(network, method):
    with torch.no_grad():
        assert (method(network.encode, samples(network.sample_shape)) > 0).all()


def estimates(network: Network, x: Tensor, probes: int) -> Tensor:
    """Return many independent estimates of one sample's norm: each copy has signs of its own."""
    torch.manual_seed(2)
    copies = x.expand(COPIES, *network.sample_shape)
    return penalties.estimated_frobenius(network.encode, copies, probes)


@pytest.mark.parametrize("probes", [1, 3])
def test_the_estimate_is_unbiased_with_the_documented_variance(network, probes):
    x = samples(network.sample_shape, 1)
    norms = estimates(network, x, probes).detach().numpy()
    (jacobian,) = jacobians(network.encoder, x).detach().numpy()
    gram = jacobian @ jacobian.T
    variance = 2 * ((gram**2).sum() - (np.diag(gram) ** 2).sum()) / probes
    assert variance > 0
    assert abs(norms.mean() - np.trace(gram)) < 4 * np.sqrt(variance / COPIES)
    squares = (norms - np.trace(gram)) ** 2
    assert abs(squares.mean() - variance) < 4 * squares.std() / np.sqrt(COPIES)


def test_the_estimates_gradient_is_unbiased(network):
    x = samples(network.sample_shape, 1)
    weights = list(network.encoder.parameters())[:-1]
    gradients = torch.autograd.grad(estimates(network, x, 1).mean(), weights)
    norm = jacobians(network.encoder, x).square().sum()
    for gradient, exact in zip(gradients, torch.autograd.grad(norm, weights), strict=True):
        torch.testing.assert_close(gradient, exact, rtol=0, atol=0.05 * exact.abs().max().item())


def test_one_probe_is_exact_for_independent_units():
    encoder = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Sigmoid()).double()
    encoder[0].weight.data = torch.arange(1.0, 6.0, dtype=torch.float64).diag()
    x = samples((5,))
    norms = jacobians(encoder, x).square().sum((1, 2))
    torch.testing.assert_close(penalties.estimated_frobenius(encoder, x), norms)


@pytest.mark.parametrize("target", [0.01, 0.05, 0.5, 0.9])
def test_kl_sparsity_is_torchs_divergence_of_bernoullis(target):
    z = samples((6,), 40).sigmoid().requires_grad_()
    units = Bernoulli(torch.full((6,), target, dtype=torch.float64)), Bernoulli(z.mean(0))
    divergence, expected = penalties.kl_sparsity(z, target), kl_divergence(*units).sum()
    torch.testing.assert_close(divergence, expected)
    gradients = [torch.autograd.grad(value, z)[0] for value in (divergence, expected)]
    torch.testing.assert_close(*gradients)


def test_kl_sparsity_is_0_at_the_target_activity():
    z = torch.zeros(20, 6)
    z[0] = 1
    assert penalties.kl_sparsity(z, 0.05).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("activity", [0.0, 1.0])
def test_kl_sparsity_of_constant_units_is_large_but_finite(activity):
    divergence = penalties.kl_sparsity(torch.full((20, 6), activity), 0.2)
    assert divergence.isfinite()
    assert divergence > 6 * 2


def test_l1_is_numpys_mean_of_absolute_sums_and_has_its_gradient():
    z = samples((6,), 40).requires_grad_()
    value = penalties.l1(z)
    assert value.item() == pytest.approx(np.abs(z.detach().numpy()).sum(1).mean(), rel=1e-12)
    torch.testing.assert_close(torch.autograd.grad(value, z)[0], z.sign() / 40)
