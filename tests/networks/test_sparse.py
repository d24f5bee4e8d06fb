"""Sparse dictionaries: their activations, products and gradients against independent references."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks import sparse_products, training_codes
from hourglass.networks.sparse import SparseDictionary
from hourglass.networks.sparse_activations import (
    JumpReLU,
    Step,
    indices_of_top_of_batch,
    indices_of_top_of_samples,
    top_of_batch,
    top_of_samples,
)
from hourglass.networks.weights import describe, from_bytes, to_bytes

SPARSITIES = ("l1", "topk", "batch_topk", "jumprelu", "gated", "matryoshka")
N, D, UNITS, K = 40, 24, 96, 5


@pytest.fixture(params=SPARSITIES)
def network(request) -> SparseDictionary:
    torch.manual_seed(0)
    network = SparseDictionary((D,), UNITS, request.param, K)
    nn.init.normal_(network.b_enc, std=0.2)
    nn.init.normal_(network.b_dec)
    if request.param not in ("l1", "topk"):
        nn.init.uniform_(network.threshold, 0.5, 1.5)
    return network.requires_grad_(False)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


def numpy_codes(network: SparseDictionary, x: Tensor) -> np.ndarray:
    w_enc, b_enc, b_dec, threshold = (
        tensor.double().numpy()
        for tensor in (network.W_enc, network.b_enc, network.b_dec, network.threshold)
    )
    pre = np.maximum((x.double().numpy() - b_dec) @ w_enc + b_enc, 0)
    if network.sparsity == "topk":
        return np.where(pre >= np.sort(pre, 1)[:, [-K]], pre, 0)
    return np.where(pre > threshold, pre, 0)


def test_codes_and_reconstructions_are_numpys(network, x):
    z = numpy_codes(network, x)
    np.testing.assert_allclose(network.encode(x).numpy(), z, atol=1e-5)
    expected = z @ network.W_dec.double().numpy() + network.b_dec.double().numpy()
    np.testing.assert_allclose(network(x).numpy(), expected, atol=1e-5)
    assert np.array_equal(network.encode(x).numpy() != 0, z != 0)


def test_a_code_does_not_depend_on_the_batch(network, x):
    for training in (True, False):
        network.train(training)
        torch.testing.assert_close(network.encode(x)[:1], network.encode(x[:1]))


def test_directions_have_norm_1_and_the_encoder_is_their_transpose(network):
    torch.testing.assert_close(network.W_dec.norm(dim=1), torch.ones(UNITS))
    assert torch.equal(network.W_enc, network.W_dec.T)


def test_a_saved_dictionary_gives_the_same_codes(network, x):
    loaded = from_bytes(describe(network), to_bytes(network))
    assert torch.equal(loaded.encode(x), network.encode(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"k": 0}, "k is 0"), ({"k": UNITS + 1}, "latent_dim"), ({"sparsity": "l2"}, "'l2'")],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        SparseDictionary((D,), UNITS, **settings)


def test_images_are_reconstructed_without_bounds(x):
    network = SparseDictionary((2, 3, 4), UNITS)
    assert network(x.unflatten(1, (2, 3, 4))).shape == (N, 2, 3, 4)
    assert not network.bounded


@pytest.mark.parametrize("shift", [0.0, -2.5], ids=["many_positive", "few_positive"])
def test_selected_units_are_those_of_numpys_sort(shift):
    pre = torch.randn(N, UNITS, generator=torch.Generator().manual_seed(2)) + shift
    values = pre.numpy()
    of_sample = (values >= np.sort(values, 1)[:, [-K]]) & (values > 0)
    of_batch = (values >= np.sort(values, None)[-N * K]) & (values > 0)
    assert np.array_equal(top_of_samples(pre, K).numpy(), of_sample)
    assert np.array_equal(top_of_batch(pre, K).numpy(), of_batch)
    assert np.array_equal(indices_of_top_of_samples(pre, K), np.flatnonzero(of_sample))
    for threshold in (0.0, 0.5, 10.0):  # none, a similar and a much too high one
        indices = indices_of_top_of_batch(pre, K, threshold)
        assert np.array_equal(indices, np.flatnonzero(of_batch))


def test_the_gradients_of_thresholds_are_those_of_the_jumprelu_paper():
    """Rajamanoharan et al. 2024b, equations 11 and 12, with a rectangle as kernel."""
    bandwidth = 0.2
    z = torch.linspace(-0.5, 2, 400, requires_grad=True)
    threshold = torch.full((), 0.7, requires_grad=True)
    weights = torch.rand(400, generator=torch.Generator().manual_seed(0))
    kernel = ((z - 0.7).abs() / bandwidth < 0.5).float()
    jump = (weights * JumpReLU.apply(z, threshold, torch.tensor(bandwidth))).sum()
    of_z, of_threshold = torch.autograd.grad(jump, (z, threshold))
    torch.testing.assert_close(of_z, weights * (z > 0.7))
    torch.testing.assert_close(of_threshold, (-0.7 / bandwidth * kernel * weights).sum())
    count = (weights * Step.apply(z, threshold, torch.tensor(bandwidth))).sum()
    of_z, of_threshold = torch.autograd.grad(count, (z, threshold), allow_unused=True)
    assert of_z is None
    torch.testing.assert_close(of_threshold, (-1 / bandwidth * kernel * weights).sum())


def test_the_step_estimate_is_the_slope_of_the_expected_count():
    """For a smooth density of z, the estimate converges to d/d threshold of E[H(z - threshold)]."""
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    threshold = torch.full((), 0.4, requires_grad=True)
    Step.apply(z, threshold, torch.tensor(0.1)).mean().backward()
    assert threshold.grad is not None
    density = np.exp(-0.08) / np.sqrt(2 * np.pi)
    assert threshold.grad.item() == pytest.approx(-density, rel=0.02)


@pytest.fixture
def always_sparse(monkeypatch):
    """Use products of active units for codes of any size and density."""
    monkeypatch.setattr(sparse_products, "is_worthwhile", lambda samples, weight: True)
    monkeypatch.setattr(training_codes, "is_worthwhile", lambda samples, weight: True)
    for module in (sparse_products, training_codes):
        monkeypatch.setattr(module, "MAX_ACTIVE_SHARE", 1.0)


def test_products_of_active_units_are_dense_products(network, x, always_sparse):
    z = network.encode(x)
    z[3] = 0  # a sample without active units
    with torch.no_grad():
        output = sparse_products.decode(z, network.W_dec, network.b_dec)
    torch.testing.assert_close(output, z @ network.W_dec + network.b_dec)


def outcome(network: SparseDictionary, x: Tensor) -> tuple[Tensor, ...]:
    """Return values of a training step and all gradients, for codes squared as an activation."""
    network.requires_grad_()
    inputs = x.clone().requires_grad_()
    codes = training_codes.training_codes(network, inputs, torch.tensor(0.1))
    threshold = codes.of_units(network.threshold.detach().clamp(min=0))
    z = torch.where(codes.values > threshold, codes.values.square(), 0.0)
    *_, last = codes.decode_nested(z, network.W_dec, [UNITS // 4, UNITS])
    torch.testing.assert_close(last, codes.decode(z, network.W_dec))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    first = codes.decode_nested(z, network.W_dec, [UNITS // 4, UNITS])[0]
    loss = ((last + first + network.b_dec) * weights).sum()
    parameters = (inputs, network.W_enc, network.b_enc, network.W_dec, network.b_dec)
    return codes.fired(z), last, *torch.autograd.grad(loss, parameters)


def test_gradients_of_active_units_are_those_of_autograd(network, x, request):
    dense = outcome(network, x)
    request.getfixturevalue("always_sparse")
    for actual, expected in zip(outcome(network, x), dense, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_products_read_few_rows_only_if_few_units_are_active(monkeypatch):
    weight, bias = torch.randn(1024, 256), torch.zeros(256)
    z = torch.rand(64, 1024)
    used = []
    combine = sparse_products.ActiveUnits.combine
    monkeypatch.setattr(
        sparse_products.ActiveUnits,
        "combine",
        lambda self, *arguments: used.append(self.shape) or combine(self, *arguments),
    )
    with torch.no_grad():
        sparse_products.decode(z, weight, bias)
        assert not used
        sparse_products.decode(torch.where(z > 0.98, z, 0.0), weight, bias)
        assert used == [(64, 1024)]
