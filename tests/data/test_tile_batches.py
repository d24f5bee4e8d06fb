"""Batches of tiles equal those of materialised tiles, at every residency and in all processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hourglass.data.batches import Scaled, Shares
from hourglass.data.datamodule import CodesDataModule
from hourglass.data.prepared_data import PreparedInMemory, Samples
from hourglass.data.scaling import Scaling, TiledScaling, encoding_from_dict
from hourglass.data.tile_batches import TileBatches
from hourglass.data.tiling import Tiles, Tiling
from tests.data.test_tiling import images, stack_padded
from tests.data.test_window_batches import SeriesModule

CPU = torch.device("cpu")


def scaling_of(padded, overlap=0.25):
    return TiledScaling.of(Scaling.of_images(255), Tiling(3, 8, 12, overlap, padded=padded))


def samples(padded):
    if padded:
        return stack_padded([images(1, 3, size)[0] for size in [(20, 31), (16, 40), (9, 12)]])
    return images(4, 3, (20, 31))


@pytest.mark.parametrize("residency", ["device", "stream"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_are_those_of_materialised_tiles(tmp_path, residency, padded, shuffled):
    np.save(tmp_path / "x.npy", samples(padded))
    x, scaling = np.load(tmp_path / "x.npy", "r"), scaling_of(padded)
    expected = torch.from_numpy(Tiles(samples(padded), scaling.tiling)[:] / np.float32(255))
    order = torch.randperm(len(expected)) if shuffled else None
    batches = TileBatches(Tiles(x, scaling.tiling), residency, CPU, Scaled(scaling, CPU))
    parts = [slice(i, i + 5) for i in range(0, len(expected), 5)]
    found = torch.cat(list(batches.batches(order, parts)))
    assert torch.equal(found, expected if order is None else expected[order])


@pytest.mark.parametrize("world_size", [1, 3])
def test_processes_share_the_tiles_of_an_epoch(world_size):
    x, scaling = samples(True), scaling_of(True)
    tiles, found = Tiles(x, scaling.tiling), []
    for rank in range(world_size):
        shares = Shares(len(tiles), 7, rank, world_size)
        part = tiles.subset(slice(rank, None, world_size))
        batches = TileBatches(part, "device", CPU, Scaled(scaling, CPU))
        found += batches.batches(shares.order(0), shares)
    rows = torch.cat(found).flatten(1).numpy()
    expected = (tiles[:] / np.float32(255)).reshape(len(tiles), -1)
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(expected, axis=0))
    assert len(rows) == len(tiles)


def prepared(padded=True):
    x, scaling = samples(padded), scaling_of(padded)
    card = {"scaling": scaling.to_dict(), "sample_shape": [3, *x.shape[2:]], "data": "tiled"}
    return PreparedInMemory(Path("tiled"), card, {"train": Samples.normal(x)})


def test_a_network_takes_tiles():
    data = prepared()
    tiles = Tiles(data.x("train"), data.scaling.tiling)
    assert data.input_shape == (3, 8, 12)
    assert data.input_count("train") == len(tiles)
    batches = list(SeriesModule(data).train_dataloader())
    assert sum(map(len, batches)) == len(tiles)
    assert batches[0].shape[1:] == (3, 8, 12)


def test_codes_of_tiles_are_those_of_the_lower_layers():
    data = prepared()
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 12, 3))
    module = CodesDataModule(SeriesModule(data), layers)
    found = torch.cat(list(module.rows("train").batches(None, [slice(0, 10_000)])))
    tiles = Tiles(data.x("train"), data.scaling.tiling)[:] / np.float32(255)
    with torch.no_grad():
        torch.testing.assert_close(found, layers(torch.from_numpy(tiles)))


def test_a_scaling_is_restored_from_its_description():
    scaling = scaling_of(True, overlap=0.5)
    assert encoding_from_dict(scaling.to_dict()) == scaling
