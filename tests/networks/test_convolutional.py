"""Depth, odd sides and residual blocks of the convolutional network."""

from itertools import product

import pytest
import torch

from hourglass.networks import Convolutional
from hourglass.networks.convolutional import suggested_channels
from hourglass.networks.weights import load, write

SIDES = (*range(1, 71), 127, 512)
SHAPES = [(1, side, side) for side in SIDES[:70]]
SHAPES += [(3, 63, 127), (1, 512, 64), (1, 1, 70), (2, 70, 1), (3, 33, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("residual", [0, 1])
def test_every_size_of_image_is_restored_exactly_at_the_depth_that_suits_it(shape, residual):
    network = Convolutional(shape, 2, residual=residual, bounded=True)
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    assert network(x).shape == x.shape
    assert network.encode(x).shape == (1, 2)


@pytest.mark.parametrize(("height", "width"), [*product(SIDES, (1, 28, 127, 512))])
def test_images_are_halved_at_least_twice_until_their_longer_side_is_at_most_8(height, width):
    side, levels = max(height, width), 0
    while levels < 2 or side > 8:
        side, levels = (side + 1) // 2, levels + 1
    channels = suggested_channels((3, height, width))
    assert len(channels) == levels
    assert channels == sorted(channels)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (30,), (4, 96)], ids=str)
def test_small_images_rows_and_windows_keep_their_network_to_the_bit(shape):
    weights = []
    for settings in ({}, {"channels": (16, 32)}):
        torch.manual_seed(0)
        network = Convolutional(shape, 4, **settings)
        assert network.init_args["channels"] == [16, 32]
        weights.append(network.state_dict())
    assert all(map(torch.equal, weights[0].values(), weights[1].values()))


@pytest.mark.parametrize("shape", [(2, 9, 13), (3, 10), (7,)], ids=str)
def test_residual_blocks_do_nothing_before_they_are_trained(shape):
    plain = Convolutional(shape, 3, (4, 5))
    blocks = Convolutional(shape, 3, (4, 5), residual=2)
    shared = blocks.state_dict()
    own = [name for name in shared if "block" not in name]
    blocks.load_state_dict(shared | dict(zip(own, plain.state_dict().values(), strict=True)))
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blocks(x), plain(x))


def test_a_network_with_residual_blocks_is_loaded_to_the_bit(tmp_path):
    network = Convolutional((1, 9, 70), 3, residual=1, stem=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    write(network, tmp_path)
    x = torch.rand(2, 1, 9, 70)
    assert torch.equal(load(tmp_path)(x), network(x))


def test_a_negative_number_of_blocks_is_refused(refusal):
    assert "residual is -1" in refusal(Convolutional, (1, 8, 8), 2, residual=-1)
