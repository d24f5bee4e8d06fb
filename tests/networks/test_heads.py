"""Heads of tables: losses equal to torch's per column, probabilities, and missing cells."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from hourglass.data.table_encoding import TableEncoding
from hourglass.networks import Convolutional, Dense
from hourglass.networks.heads import TableHeads, column_mean
from hourglass.networks.variational import Variational
from hourglass.networks.weights import build, describe
from tests.data.test_table_encoding import COLUMNS, mixed
from tests.tables import number_encoding

NETWORKS = {"dense": Dense, "convolutional": Convolutional, "variational": Variational}


@pytest.fixture(scope="module")
def encoding() -> TableEncoding:
    """Give the encoding of a mixed table."""
    return TableEncoding.fit(COLUMNS, mixed(500))


@pytest.fixture(scope="module")
def heads(encoding) -> TableHeads:
    """Give its heads."""
    return TableHeads(encoding.heads).eval()


@pytest.fixture(scope="module")
def x(encoding) -> torch.Tensor:
    """Give inputs without missing cells."""
    return torch.from_numpy(encoding(mixed(40, missing=0)))


@pytest.fixture(scope="module")
def logits(encoding) -> torch.Tensor:
    """Give outputs of a network."""
    return torch.randn(40, encoding.width, generator=torch.Generator().manual_seed(0))


def test_losses_are_those_of_torch(heads, x, logits):
    losses = heads.losses(x, logits)
    expected = torch.stack(
        [
            (x[:, 0] - logits[:, 0]).square(),
            functional.cross_entropy(logits[:, 1:5], x[:, 1:5].argmax(1), reduction="none"),
            functional.binary_cross_entropy_with_logits(logits[:, 5], x[:, 5], reduction="none"),
            (x[:, 6:13] - logits[:, 6:13]).square().mean(1),
            (x[:, 13] - logits[:, 13]).square(),
        ],
        1,
    )
    torch.testing.assert_close(losses, expected)


def test_expected_losses_are_the_entropies_of_the_predicted_distributions(heads, logits):
    expected = torch.full((40, 5), torch.nan)
    expected[:, 1] = torch.distributions.Categorical(logits=logits[:, 1:5]).entropy()
    expected[:, 2] = torch.distributions.Bernoulli(logits=logits[:, 5]).entropy()
    torch.testing.assert_close(heads.expected_losses(logits), expected, equal_nan=True)


def test_outputs_are_probabilities(heads, logits):
    output = heads.reconstruction(logits)
    torch.testing.assert_close(output[:, 1:5], logits[:, 1:5].softmax(1))
    torch.testing.assert_close(output[:, 5], logits[:, 5].sigmoid())
    torch.testing.assert_close(output[:, 6:14], logits[:, 6:14])
    assert not output[:, 14:].any()  # indicators


def test_a_missing_cell_has_no_loss_and_the_mean_is_over_the_others(heads, x, logits):
    complete, missing = heads.losses(x, logits), x.clone()
    missing[:, 1:5] = math.nan
    losses = heads.losses(missing, logits)
    assert losses[:, 1].isnan().all()
    others = [0, 2, 3, 4]
    torch.testing.assert_close(losses[:, others], complete[:, others])
    torch.testing.assert_close(column_mean(losses), complete[:, others].mean(1))


def test_a_missing_cell_is_surprising_if_it_was_rare_in_training():
    columns = TableEncoding.fit(COLUMNS, mixed(1000, missing=0)).heads
    x = torch.full((1, 14), math.nan)
    losses = TableHeads(columns).eval().losses(x, torch.zeros(1, 14))
    torch.testing.assert_close(losses, torch.full((1, 5), math.log(0.01 * 1001 / 0.5)))


def test_gradients_are_finite_with_missing_cells(heads, encoding, logits):
    x = torch.from_numpy(encoding(mixed(40, missing=0.5)))
    logits = logits.clone().requires_grad_()
    heads.losses(x, logits).nanmean().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_any_network_takes_missing_cells(kind, encoding):
    torch.manual_seed(0)
    network = NETWORKS[kind]([encoding.width], 3)
    network.add_heads(encoding.heads)
    x = torch.from_numpy(encoding(mixed(30, missing=0.5)))
    assert network.eval().score(x).isfinite().all()
    assert network.encode(x).isfinite().all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_rebuilt_with_its_heads(kind, encoding):
    network = NETWORKS[kind]([encoding.width], 3)
    network.add_heads(encoding.heads)
    again = build(describe(network))
    again.load_state_dict(network.state_dict())
    x = torch.from_numpy(encoding(mixed(30)))
    assert torch.equal(again.eval().score(x), network.eval().score(x))


def test_complete_numbers_have_the_squared_error_of_a_network_without_heads():
    x = np.random.default_rng(0).normal(size=(50, 4))
    encoding = number_encoding(x)
    torch.manual_seed(0)
    plain = Dense([4], 2).eval()
    inputs = torch.from_numpy(encoding(x))
    before = plain.score(inputs)
    plain.add_heads(encoding.heads)
    assert torch.equal(plain.score(inputs), before)
