"""The training of sparse dictionaries against closed forms and plain loops."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from hourglass.data.table_encoding import TableEncoding
from hourglass.models.dictionary_optimizer import adapt_to_scale, reset_units
from hourglass.models.dictionary_statistics import geometric_median, variance_per_element
from hourglass.models.dictionary_training import PREFIXES, DictionaryTraining
from hourglass.models.sparse import Sparse
from hourglass.networks import training_codes
from hourglass.networks.sparse import SparseDictionary
from tests.data.test_table_encoding import COLUMNS, mixed

SPARSITIES = ("l1", "topk", "batch_topk", "jumprelu", "gated", "matryoshka")
ALL = pytest.mark.parametrize("sparsity", SPARSITIES)
D, UNITS, K, RATE = 64, 96, 6, 0.005
X = torch.tensor(load_digits().data[:400] / 16, dtype=torch.float32)


def build(sparsity: Any, shape: tuple[int, ...] = (D,), **settings: Any) -> Sparse:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {
        "latent_dim": UNITS,
        "k": K,
        "learning_rate": RATE,
        "schedule": "constant",
    }
    return Sparse(shape, sparsity=sparsity, **(defaults | settings))


def dictionary(module: Sparse) -> DictionaryTraining:
    assert module.dictionary is not None
    return module.dictionary


def network(module: Sparse) -> SparseDictionary:
    return dictionary(module).network


def start(module: Sparse, x: Tensor) -> torch.optim.Optimizer:
    """Return the optimizer of a module that has seen the samples, as in `on_train_start`."""
    module.trainer = SimpleNamespace(max_epochs=1)  # type: ignore[assignment]
    optimizer: torch.optim.Optimizer = module.configure_optimizers()
    dictionary(module).start(x.flatten(1))
    adapt_to_scale(optimizer, [], float(dictionary(module).variance), D)
    return optimizer


def fit(module: Sparse, x: Tensor, epochs: int) -> torch.optim.Optimizer:
    optimizer = start(module, x)
    for _ in range(epochs):
        for batch in x.split(100):
            optimizer.zero_grad()
            module.training_step(batch).backward()
            optimizer.step()
    return optimizer


def test_the_geometric_median_is_scipys_minimum_of_the_distances():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).exp().double()
    result = minimize(lambda m: ((x.numpy() - m) ** 2).sum(1).__pow__(0.5).sum(), x.mean(0))
    torch.testing.assert_close(geometric_median(x), torch.tensor(result.x), atol=1e-4, rtol=0)


def test_the_geometric_median_of_equal_vectors_is_that_vector():
    x = torch.full((5, 3), 2.0)
    assert torch.equal(geometric_median(x), x[0])
    assert variance_per_element(x) == 1


@ALL
def test_the_scale_of_the_samples_does_not_change_what_is_learned(sparsity):
    """A factor of 64 is exact in float32, so that rounding does not differ."""
    one, other = build(sparsity), build(sparsity)
    fit(one, X, 3)
    fit(other, 64 * X, 3)
    torch.testing.assert_close(other.encode(64 * X), 64 * one.encode(X), rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(other(64 * X), 64 * one(X), rtol=1e-3, atol=1e-2)


def test_the_weights_are_those_of_a_plain_loop_on_scaled_samples():
    """Top-k by autograd on samples with a mean squared norm of D, then folded by hand."""
    module = build("topk")
    net = network(module)
    mean = X.mean(0)
    scale = (D / (X - mean).square().sum(1).mean()).sqrt()
    scaled = (X - mean) * scale
    encoder, decoder = (w.detach().clone().requires_grad_() for w in (net.W_enc, net.W_dec))
    bias = torch.zeros(UNITS, requires_grad=True)
    offset = geometric_median(scaled).requires_grad_()
    optimizer = torch.optim.Adam([encoder, decoder, bias, offset], RATE)
    for batch in scaled.split(100):
        pre = (batch - offset) @ encoder + bias
        least = pre.sort(1).values[:, [-K]]
        y = torch.where(pre >= least, pre, 0).relu() @ decoder + offset
        optimizer.zero_grad()
        (y - batch).square().sum(1).mean().backward()
        gradient = decoder.grad
        assert gradient is not None
        gradient -= (gradient * decoder.detach()).sum(1, keepdim=True) * decoder.detach()
        optimizer.step()
        with torch.no_grad():
            decoder /= decoder.norm(dim=1, keepdim=True)
    fit(module, X, 1)
    close = {"rtol": 0, "atol": 1e-4}
    torch.testing.assert_close(net.W_dec, decoder, **close)
    torch.testing.assert_close(net.W_enc, encoder, **close)
    torch.testing.assert_close(net.b_enc, bias / scale, **close)
    torch.testing.assert_close(net.b_dec, mean + offset / scale, **close)


@ALL
def test_directions_keep_norm_1_and_their_gradients_have_no_part_along_them(sparsity):
    module = build(sparsity)
    fit(module, X, 2)
    weights = network(module).W_dec
    torch.testing.assert_close(weights.norm(dim=1), torch.ones(UNITS))
    module.zero_grad()
    module.training_step(X).backward()
    assert weights.grad is not None
    assert weights.grad.any()
    assert (weights.grad * weights).sum(1).abs().max() < 1e-6 * weights.grad.abs().max() + 1e-9


@ALL
def test_the_error_falls_and_few_units_are_active(sparsity):
    module = build(sparsity)
    fit(module, X, 0)
    before = module.score(X).mean()
    fit(module, X, 50)
    z = module.encode(X)
    assert module.score(X).mean() < 0.5 * before
    assert (z >= 0).all()
    assert (z > 0).sum(1).float().mean() < 3 * K


@pytest.mark.parametrize("sparsity", ["topk", "batch_topk", "matryoshka", "jumprelu"])
def test_k_units_are_active_per_sample_in_inference(sparsity):
    module = build(sparsity)
    fit(module, X, 100)
    active = (module.encode(X) > 0).sum(1).float()
    assert active.mean() == pytest.approx(K, rel={"topk": 0.01}.get(sparsity, 0.15))


def penalty_of(module: Sparse, x: Tensor) -> Tensor:
    """Return the penalty of the papers for scaled samples, in the unit of the samples."""
    net, variance = network(module), dictionary(module).variance
    pre = (x - net.b_dec) @ net.W_enc + net.b_enc
    if module.sparsity == "l1":
        return variance.sqrt() * pre.relu().sum(1).mean() / D
    if module.sparsity == "gated":
        gate = (pre - net.threshold) * dictionary(module).log_gate_scale.exp()
        return variance.sqrt() * gate.relu().sum(1).mean() / D
    active = (pre > net.threshold).sum(1).float().mean()
    return variance * (active / K - 1).square()


@pytest.mark.parametrize("sparsity", ["l1", "gated", "jumprelu"])
def test_the_weight_of_the_penalty_rises_linearly(sparsity):
    module = build(sparsity, sparsity_weight=2.0)
    fit(module, X, 1)
    part = dictionary(module)
    part.warmup_steps = 100
    losses = []
    for weight in (2.0, 0.0):
        part.weight = weight
        part.steps.fill_(25.0)
        part.idle.zero_()
        losses.append(module.training_loss(X))
    expected = 0.25 * 2.0 * penalty_of(module, X)
    torch.testing.assert_close(losses[0] - losses[1], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("sparsity", ["l1", "gated", "jumprelu"])
def test_the_validation_error_includes_the_penalty_at_its_final_weight(sparsity):
    module = build(sparsity, sparsity_weight=2.0)
    fit(module, X, 1)
    dictionary(module).steps.zero_()
    with torch.no_grad():
        expected = module.score(X) + 2.0 * penalty_of(module, X)
        torch.testing.assert_close(module.validation_step(X), expected)


def test_the_loss_of_matryoshka_is_the_mean_over_nested_dictionaries():
    module = build("matryoshka")
    net = network(module)
    pre = (X - net.b_dec) @ net.W_enc + net.b_enc
    z = torch.where(pre >= pre.flatten().sort().values[-len(X) * K], pre, 0.0).relu()
    losses = []
    for share in PREFIXES:
        end = round(share * UNITS)
        losses.append(functional.mse_loss(z[:, :end] @ net.W_dec[:end] + net.b_dec, X))
    torch.testing.assert_close(module.training_loss(X), torch.stack(losses).mean())


def test_the_loss_of_gated_is_that_of_the_paper():
    """Rajamanoharan et al. 2024a, equations 6 to 8, in the parameters of the paper."""
    module = build("gated", sparsity_weight=0.5)
    net, part = network(module), dictionary(module)
    with torch.no_grad():
        net.threshold.uniform_(-0.2, 0.5)
        net.b_enc.uniform_(-0.2, 0.2)
        part.log_gate_scale.uniform_(-0.5, 0.5)
    part.steps.fill_(1.0)
    r_mag, magnitude_bias = -part.log_gate_scale, net.b_enc
    w_gate = net.W_enc * part.log_gate_scale.exp()
    gate_bias = (net.b_enc - net.threshold) * part.log_gate_scale.exp()
    centred = X - net.b_dec
    gate = centred @ w_gate + gate_bias
    magnitude = (centred @ (w_gate * r_mag.exp()) + magnitude_bias).relu()
    z = (gate > 0) * magnitude
    torch.testing.assert_close(module.encode(X), z, rtol=1e-4, atol=1e-5)
    frozen = gate.relu() @ net.W_dec.detach() + net.b_dec.detach()
    expected = functional.mse_loss(z @ net.W_dec + net.b_dec, X) + functional.mse_loss(frozen, X)
    expected = expected + 0.5 * gate.relu().sum(1).mean() / D
    torch.testing.assert_close(module.training_loss(X), expected)


def test_the_auxiliary_loss_trains_dead_units_only_and_leaves_the_error():
    module = build("batch_topk")
    fit(module, X, 1)
    part, net = dictionary(module), network(module)
    dead = torch.arange(UNITS) < 20
    gradients = []
    for idle in (0.0, 1e9):
        part.idle.copy_(torch.where(dead, idle, 0.0))
        state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        parameters = net.W_dec, net.W_enc, net.b_enc, net.b_dec
        of_w_dec, of_w_enc, *others = torch.autograd.grad(module.training_loss(X), parameters)
        gradients.append([of_w_dec, of_w_enc.T, *others])
        module.load_state_dict(state)
    for without, with_auxiliary in zip(*gradients, strict=True):
        difference = with_auxiliary - without
        if len(difference) == UNITS:
            assert difference[dead].any()
            difference = difference[~dead]
        assert not difference.any()


def test_idle_units_are_counted_in_samples():
    module = build("topk")
    z = module.encode(X)
    module.training_loss(X)
    assert torch.equal(dictionary(module).idle == 0, (z > 0).any(0))
    assert set(dictionary(module).idle.tolist()) <= {0.0, float(len(X))}


def loss_and_gradients(module: Sparse) -> list[Tensor]:
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    loss = module.training_loss(X)
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    statistics = dictionary(module).idle.clone(), network(module).threshold.detach().clone()
    module.load_state_dict(state)
    return [loss.detach(), *gradients, *statistics]


@ALL
def test_active_units_give_the_loss_and_the_gradients_of_dense_products(sparsity, monkeypatch):
    module = build(sparsity)
    fit(module, X, 2)
    dense = loss_and_gradients(module)
    monkeypatch.setattr(training_codes, "is_worthwhile", lambda samples, weight: True)
    monkeypatch.setattr(training_codes, "MAX_ACTIVE_SHARE", 1.0)
    for actual, expected in zip(loss_and_gradients(module), dense, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-6)


@ALL
def test_mixed_precision_trains_and_counts_units(sparsity):
    module = build(sparsity)
    fit(module, X, 2)
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.training_loss(X)
    assert loss.isfinite()
    assert dictionary(module).idle.dtype == network(module).threshold.dtype == torch.float32


def test_resampling_revives_dead_units():
    module = build("l1")
    optimizer = fit(module, X, 5)
    part, net = dictionary(module), network(module)
    dead = torch.arange(UNITS) < 10
    with torch.no_grad():
        net.b_enc[dead] = -1e3
    part.idle[dead] = 1e9
    assert not module.encode(X)[:, dead].any()
    others = net.W_enc[:, ~dead].clone()
    units = part.resample(X)
    reset_units(optimizer, net, units)
    assert torch.equal(units, dead)
    assert module.encode(X)[:, dead].any(0).all()
    torch.testing.assert_close(net.W_dec.norm(dim=1), torch.ones(UNITS))
    scale = 0.2 * others.norm(dim=0).mean()
    torch.testing.assert_close(net.W_enc[:, dead], scale * net.W_dec[dead].T)
    assert torch.equal(net.W_enc[:, ~dead], others)
    assert not optimizer.state[net.W_enc]["exp_avg"][:, dead].any()
    assert optimizer.state[net.W_enc]["exp_avg"][:, ~dead].any()


@ALL
@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 16)], ids=["images", "windows"])
def test_images_and_windows_are_trained_as_vectors(sparsity, shape):
    flat, shaped = build(sparsity), build(sparsity, shape)
    fit(flat, X, 1)
    fit(shaped, X.unflatten(1, shape), 1)
    torch.testing.assert_close(shaped.encode(X.unflatten(1, shape)), flat.encode(X))


@ALL
def test_a_table_with_categories_and_missing_cells_is_trained_on(sparsity):
    encoding = TableEncoding.fit(COLUMNS, mixed(500))
    x = torch.from_numpy(encoding(mixed(200)))
    assert x.isnan().any()
    module = build(sparsity, (x.shape[1],))
    module.add_heads(encoding.heads)
    optimizer = start(module, module.network.flat_inputs(x))
    scores = [module.score(x).nanmean()]
    for _ in range(100):
        optimizer.zero_grad()
        module.training_step(x).backward()
        optimizer.step()
    scores.append(module.score(x).nanmean())
    assert scores[1] < 0.7 * scores[0]


@pytest.mark.parametrize("settings", [{"hidden": [8]}, {"tied": True}])
def test_a_dictionary_with_more_layers_is_refused(refusal, settings):
    assert "'topk'" in refusal(build, "topk", **settings)
