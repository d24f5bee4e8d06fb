"""Networks with tied weights, compared with untied networks of the same values."""

import copy
import io
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from hourglass.networks import Dense
from hourglass.networks.dense import Transposed
from hourglass.networks.weights import load, parameter_count, write

HIDDEN = pytest.mark.parametrize("hidden", [[], [7], [7, 6]], ids=str)
X = torch.rand(16, 1, 3, 3, generator=torch.Generator().manual_seed(0))


def dense(hidden: list[int], tied: bool = True) -> Dense:
    torch.manual_seed(0)
    return Dense((1, 3, 3), 4, hidden, "tanh", "sigmoid", tied, bounded=True)


def with_nonzero_biases(hidden: list[int]) -> Dense:
    """Return a tied network with nonzero biases, also in its decoder."""
    network = dense(hidden)
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network


def layers_of(network: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [layer for layer in network.children() if isinstance(layer, kind)]


def untied(network: Dense) -> Dense:
    """Return an untied network with the values of a tied one."""
    other = dense(network.init_args["hidden"], tied=False)
    other.encoder.load_state_dict(network.encoder.state_dict())
    layers = zip(
        layers_of(other.decoder, nn.Linear),
        reversed(layers_of(network.encoder, nn.Linear)),
        layers_of(network.decoder, Transposed),
        strict=True,
    )
    for layer, mirrored, transposed in layers:
        layer.weight.data = mirrored.weight.data.T.clone()
        layer.bias.data = transposed.bias.data.clone()
    return other


@HIDDEN
def test_each_weight_is_one_parameter_and_each_layer_has_a_bias(hidden):
    network, widths = dense(hidden), [9, *hidden, 4]
    matrices = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    encoder_weights = [layer.weight for layer in layers_of(network.encoder, nn.Linear)]
    assert list(map(id, matrices)) == list(map(id, encoder_weights))
    assert sum(tensor.ndim == 2 for tensor in network.state_dict().values()) == len(matrices)
    biases = [tuple(bias.shape) for bias in network.decoder.parameters()]
    assert biases == [(width,) for width in reversed(widths[:-1])]
    products = sum(first * second for first, second in pairwise(widths))
    assert parameter_count(network) == products + sum(widths[1:]) + sum(widths[:-1])


@HIDDEN
def test_outputs_and_gradients_equal_those_of_an_untied_network(hidden):
    network = with_nonzero_biases(hidden)
    other = untied(network)
    torch.testing.assert_close(network(X), other(X))
    for each in (network, other):
        each.error(X).mean().backward()
    layers = zip(
        layers_of(network.encoder, nn.Linear),
        layers_of(other.encoder, nn.Linear),
        reversed(layers_of(other.decoder, nn.Linear)),
        strict=True,
    )
    for tied, first, second in layers:
        assert second.weight.grad.any()
        torch.testing.assert_close(tied.weight.grad, first.weight.grad + second.weight.grad.T)
        torch.testing.assert_close(tied.bias.grad, first.bias.grad)


@HIDDEN
def test_a_saved_network_has_bitwise_equal_scores(hidden, tmp_path):
    network = with_nonzero_biases(hidden)
    write(network, tmp_path)
    assert torch.equal(load(tmp_path).score(X), network.score(X))


def pickled(network: Dense) -> Dense:
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def cast(network: Dense) -> Dense:
    return copy.deepcopy(network).double().float()


@HIDDEN
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, cast])
def test_training_a_copy_keeps_it_tied_and_the_original_unchanged(hidden, copied):
    network = dense(hidden)
    twin, before = copied(network), network.score(X)
    assert torch.equal(twin.score(X), before)
    optimizer = torch.optim.SGD(twin.parameters(), 1.0)
    twin.error(X).mean().backward()
    optimizer.step()
    assert torch.equal(network.score(X), before)
    assert not torch.equal(twin.score(X), before)
    torch.testing.assert_close(twin(X), untied(twin)(X))
