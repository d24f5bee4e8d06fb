"""An ensemble is its members: dense networks with their weights, gradients and connections."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from hourglass.models.ensemble import Ensemble
from hourglass.networks import Dense
from hourglass.networks.ensemble import BatchedLinear
from hourglass.networks.weights import load, write

MODELS = "hourglass.models."


@pytest.fixture
def module() -> Ensemble:
    torch.manual_seed(0)
    return Ensemble((6,), members=3, width=4, batch_share=1.0)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(10, 6, generator=torch.Generator().manual_seed(1))


def batched(module: Ensemble) -> list[BatchedLinear]:
    """Return the layers of all members in the order of a forward pass."""
    return [layer for layer in module.network.modules() if isinstance(layer, BatchedLinear)]


def members(module: Ensemble, sample_shape: Sequence[int] = (6,), width: int = 4) -> list[Dense]:
    """Return each member as a dense network with the same weights."""
    networks = []
    for i in range(module.members):
        network = Dense(sample_shape, width, [width])
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        for layer, source in zip(linear, batched(module), strict=True):
            layer.weight.data = source.weight[i].detach().T.clone()
            layer.bias.data = source.bias[i, 0].detach().clone()
        networks.append(network)
    return networks


def test_the_reconstruction_is_the_mean_of_dense_networks_and_the_code_joins_theirs(module, x):
    networks = members(module)
    torch.testing.assert_close(module(x), sum(network(x) for network in networks) / 3)
    torch.testing.assert_close(module.encode(x), torch.cat([n.encode(x) for n in networks], 1))
    outputs = torch.stack([network(x) for network in networks], 1)
    torch.testing.assert_close(module.network.member_logits(module.encode(x)), outputs)


def test_the_loss_and_its_gradients_are_the_mean_of_the_dense_networks(module, x):
    networks, noisy = members(module), [x + i for i in range(3)]
    expected = [functional.mse_loss(n(y), x) for n, y in zip(networks, noisy, strict=True)]
    drawn = iter(noisy)
    module.corrupt = lambda _: next(drawn)
    loss = module.training_loss(x)
    torch.testing.assert_close(loss, sum(expected) / 3)
    loss.backward()
    (sum(expected) / 3).backward()
    for i, network in enumerate(networks):
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        for layer, source in zip(linear, batched(module), strict=True):
            torch.testing.assert_close(source.weight.grad[i].T, layer.weight.grad)
            torch.testing.assert_close(source.bias.grad[i, 0], layer.bias.grad)


def test_the_first_weights_are_those_of_dense_networks_drawn_one_after_the_other(module):
    torch.manual_seed(0)
    drawn = [Dense((6,), 4, [4]) for _ in range(3)]
    for network, same in zip(drawn, members(module), strict=True):
        for expected, weight in zip(network.parameters(), same.parameters(), strict=True):
            assert torch.equal(expected, weight)


def test_members_draw_their_own_noise(module, x):
    drawn = []
    module.corrupt = lambda samples: drawn.append(samples) or samples + torch.randn(())
    module.training_loss(x)
    assert len(drawn) == 3


def test_trim_leaves_out_the_highest_losses_of_each_member(module, x):
    module.corrupt, module.trim = lambda samples: samples, 0.3
    losses = [(network(x) - x).square().mean(1) for network in members(module)]
    kept = [loss.sort().values[:7].mean() for loss in losses]
    torch.testing.assert_close(module.training_loss(x), sum(kept) / 3)


def test_missing_connections_stay_away_in_training_and_in_a_saved_network(train, x, tmp_path):
    torch.manual_seed(0)
    module = Ensemble((6,), members=3, width=4, connectivity=0.5, schedule="constant")
    absent = [layer.weight == 0 for layer in batched(module)]
    before = [layer.weight.detach().clone() for layer in batched(module)]
    share = torch.cat([each.flatten() for each in absent]).double().mean()
    assert 0.35 < share < 0.65
    assert not torch.equal(absent[0][0], absent[0][1])
    train(module, x, 5)
    for layer, places, weight in zip(batched(module), absent, before, strict=True):
        assert torch.equal(layer.weight == 0, places)
        assert not torch.equal(layer.weight, weight)
    outputs = sum(network(x) for network in members(module)) / 3
    torch.testing.assert_close(module(x), outputs)
    write(module.network, tmp_path)
    loaded = load(tmp_path)
    assert torch.equal(loaded(x), module(x))
    assert all(
        torch.equal(new.connected, old.connected)
        for new, old in zip(
            loaded.encoder.layers[::2], module.network.encoder.layers[::2], strict=True
        )
    )


def test_shares_of_a_batch_use_samples_equally_often(x):
    module = Ensemble((6,), members=5, width=4, batch_share=0.4)
    samples = module.member_samples(torch.arange(10.0)[:, None])
    assert samples.shape == (5, 4, 1)
    values, counts = samples.flatten().unique(return_counts=True)
    assert values.tolist() == list(range(10))
    assert counts.tolist() == [2] * 10
    assert module.training_loss(x).isfinite()


def test_missing_cells_are_filled_in_every_member(module, x):
    number = {"kind": "numeric", "width": 1, "indicator": False, "missing_share": 0.1, "count": 9}
    module.add_heads([number] * 6)
    module.eval()
    filled, x[0, 2] = x.clone(), float("nan")
    filled[0, 2] = 0
    torch.testing.assert_close(module(x), module(filled))


@pytest.fixture
def mixed() -> Ensemble:
    torch.manual_seed(0)
    variants: list[dict[str, Any]] = [
        {"class_path": f"{MODELS}denoising.Denoising", "init_args": {"latent_dim": 3}},
        {"class_path": f"{MODELS}variational.Variational", "init_args": {"latent_dim": 2}},
        {"class_path": f"{MODELS}convolutional.Convolutional"},
    ]
    return Ensemble((6,), variants=variants, schedule="constant").eval()


def test_variants_are_trained_and_averaged_as_one_network(mixed, train, x, tmp_path):
    networks = mixed.network.members
    torch.testing.assert_close(mixed(x), sum(network(x) for network in networks) / 3)
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    losses = train(mixed, x, 30)
    assert losses[-1] < losses[0]
    for network, weights in zip(networks, before, strict=True):
        pairs = zip(network.parameters(), weights, strict=True)
        assert not any(torch.equal(parameter, weight) for parameter, weight in pairs)
    write(mixed.network, tmp_path)
    assert torch.equal(load(tmp_path).score(x), mixed.score(x))


def test_the_loss_of_variants_is_the_mean_of_theirs(mixed, x):
    torch.manual_seed(1)
    expected = sum(variant.training_loss(x) for variant in mixed._variants) / 3
    torch.manual_seed(1)
    torch.testing.assert_close(mixed.training_loss(x), expected)


@pytest.mark.parametrize(
    "path", ["stacked.Stacked", "linear.Linear", "adversarial.Adversarial", "quantised.Quantised"]
)
def test_a_variant_with_a_training_of_its_own_is_refused(refusal, path):
    said = refusal(Ensemble, (6,), variants=[{"class_path": f"{MODELS}{path}"}])
    assert f"{path.partition('.')[2]} has a training of its own" in said


@pytest.mark.parametrize("setting", ["members", "width"])
def test_a_number_below_one_is_refused(refusal, setting):
    assert f"{setting} is 0" in refusal(Ensemble, (6,), **{setting: 0})


@pytest.mark.parametrize("setting", ["connectivity", "batch_share"])
@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_share_out_of_range_is_refused(refusal, setting, value):
    assert f"{setting} is {value}" in refusal(Ensemble, (6,), **{setting: value})
