"""Tied weights against an untied network with the same values."""

import copy
import io
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from hourglass.networks import Dense
from hourglass.networks.dense import Transposed
from hourglass.networks.weights import load, parameter_count, write

HIDDEN = pytest.mark.parametrize("hidden", [[], [7], [7, 6]], ids=str)
X = torch.rand(16, 1, 3, 3, generator=torch.Generator().manual_seed(0))


def dense(hidden: list[int], tied: bool = True) -> Dense:
    torch.manual_seed(0)
    return Dense((1, 3, 3), 4, hidden, "tanh", "sigmoid", tied, bounded=True)


def linears(network: Dense) -> list[nn.Linear]:
    return [each for each in network.encoder.children() if isinstance(each, nn.Linear)]


def untied(network: Dense) -> Dense:
    """Return an untied network with the values of a tied one."""
    other = dense(network.init_args["hidden"], tied=False)
    biases = [each.bias for each in network.decoder.children() if isinstance(each, Transposed)]
    up = [each for each in other.decoder.children() if isinstance(each, nn.Linear)]
    other.encoder.load_state_dict(network.encoder.state_dict())
    for layer, of, bias in zip(up, reversed(linears(network)), biases, strict=True):
        layer.weight.data, layer.bias.data = of.weight.data.T.clone(), bias.data.clone()
    return other


def loss(network: Dense) -> Tensor:
    return network.error(X).mean()


def shift(network: Dense) -> None:
    """Change the biases of the decoder too, which a new tied network has at 0."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))


@HIDDEN
def test_each_weight_is_one_parameter(hidden):
    network = dense(hidden)
    down, widths = linears(network), [9, *hidden, 4]
    matrices = [each for each in network.parameters() if each.ndim == 2]
    assert [id(each) for each in matrices] == [id(each.weight) for each in down]
    assert sum(each.ndim == 2 for each in network.state_dict().values()) == len(down)
    products = sum(first * second for first, second in pairwise(widths))
    assert parameter_count(network) == products + sum(widths[1:]) + sum(widths[:-1])


@HIDDEN
def test_the_decoder_is_the_transposed_encoder(hidden):
    network = dense(hidden)
    shift(network)
    torch.testing.assert_close(network(X), untied(network)(X))


@HIDDEN
def test_the_gradient_is_the_sum_of_those_of_both_uses(hidden):
    network = dense(hidden)
    shift(network)
    other = untied(network)
    loss(network).backward()
    loss(other).backward()
    up = [each for each in other.decoder.children() if isinstance(each, nn.Linear)]
    for tied, first, second in zip(linears(network), linears(other), reversed(up), strict=True):
        assert first.weight.grad is not None
        assert second.weight.grad is not None
        assert second.weight.grad.any()
        torch.testing.assert_close(tied.weight.grad, first.weight.grad + second.weight.grad.T)
        torch.testing.assert_close(tied.bias.grad, first.bias.grad)


@HIDDEN
def test_a_saved_network_scores_the_same_to_the_bit(hidden, tmp_path):
    network = dense(hidden)
    shift(network)
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
def test_a_copy_stays_tied_and_leaves_the_original_alone(hidden, copied):
    network = dense(hidden)
    twin, before = copied(network), network.score(X)
    assert torch.equal(twin.score(X), before)
    optimizer = torch.optim.SGD(twin.parameters(), 1.0)
    loss(twin).backward()
    optimizer.step()
    assert torch.equal(network.score(X), before)
    assert not torch.equal(twin.score(X), before)
    torch.testing.assert_close(twin(X), untied(twin)(X))


def test_decoder_layers_have_separate_biases():
    network = dense([7])
    encoder, decoder = list(network.encoder.parameters()), list(network.decoder.parameters())
    assert [each.shape for each in decoder] == [(7,), (9,)]
    assert not {id(each) for each in encoder} & {id(each) for each in decoder}
