"""Features as training data: computed once, kept in a file, and equal to those of a network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hourglass.data.prepared_data import PreparedInMemory, Samples, Split
from hourglass.data.scaling import Scaling, TiledScaling
from hourglass.data.tiling import Tiles, Tiling
from hourglass.models.feature import Feature
from hourglass.networks.feature import Feature as FeatureNetwork
from hourglass.training import features
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.features import FeaturesDataModule, cached_features, training_data
from hourglass.training.in_memory import InMemoryDataModule, train_in_memory

SHAPE, LAYERS = (1, 32, 32), ["blocks.2", "blocks.4"]
SCALING = Scaling.of_images(255)
INIT_ARGS: dict[str, Any] = {"sample_shape": list(SHAPE), "layers": LAYERS, "latent_dim": 3}


def settings(variant: str, epochs: int = 3) -> CellSettings:
    inner = {"class_path": f"hourglass.models.{variant}", "init_args": {"latent_dim": 3}}
    init_args = INIT_ARGS | {"variant": inner}
    path = "hourglass.models.feature.Feature"
    training = Training(batch_size=4, max_epochs=epochs)
    return CellSettings("tiles", "feature", path, init_args, training, {"accelerator": "cpu"}, 0)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, *SHAPE), dtype=np.uint8)


@pytest.fixture
def prepared(images) -> PreparedInMemory:
    splits: dict[Split, Samples] = {
        "train": Samples.normal(images),
        "validation": Samples.normal(images[:4]),
    }
    card = {"scaling": SCALING.to_dict(), "sample_shape": SHAPE, "columns": []}
    return PreparedInMemory(Path("tiles"), card, splits)


@pytest.fixture
def network() -> FeatureNetwork:
    torch.manual_seed(0)
    return Feature(**INIT_ARGS).network


@pytest.fixture
def data(network, prepared) -> FeaturesDataModule:
    module = training_data(network, InMemoryDataModule(prepared, settings("Linear")))
    assert isinstance(module, FeaturesDataModule)
    assert training_data(network, module) is module
    return module


def test_batches_are_the_standardised_features_of_the_images(data, network, images):
    batch = torch.cat(list(data.val_dataloader()))
    expected = network.target(torch.from_numpy(images[:4]).float() / 255)
    torch.testing.assert_close(batch, expected, rtol=1e-4, atol=1e-4)
    train = torch.cat(list(data.train_dataloader()))
    assert train.mean(0).abs().max() < 1e-4


def test_features_of_large_images_are_those_of_their_tiles(network):
    x = np.random.default_rng(0).integers(0, 256, (4, 1, 48, 40), dtype=np.uint8)
    scaling = TiledScaling.of(SCALING, Tiling(*SHAPE))
    splits = {"train": Samples.normal(x), "validation": Samples.normal(x[:2])}
    card = {"scaling": scaling.to_dict(), "sample_shape": x.shape[1:], "columns": []}
    module = InMemoryDataModule(PreparedInMemory(Path("tiles"), card, splits), settings("Linear"))
    batch = torch.cat(list(training_data(network, module).val_dataloader()))
    tiles = torch.from_numpy(Tiles(x[:2], scaling.tiling)[:])
    torch.testing.assert_close(batch, network.target(tiles.float() / 255), rtol=1e-4, atol=1e-4)


def test_features_are_computed_once_in_a_workspace(workspace, network, images, monkeypatch):
    first = cached_features(network, images, SCALING, "features")
    (file,) = (workspace / "runs/.features").iterdir()
    monkeypatch.setattr(features, "_compute", pytest.fail)
    assert np.array_equal(cached_features(network, images, SCALING, "features"), first)
    assert np.array_equal(np.load(file), first)


@pytest.mark.parametrize("change", ["images", "scaling", "layers", "weights"])
def test_a_change_to_what_the_features_depend_on_is_another_file(
    workspace, network, images, change
):
    cached_features(network, images, SCALING, "features")
    scaling = SCALING
    if change == "images":
        images = images.copy()
        images[-1, 0, 0, 0] ^= 1
    elif change == "scaling":
        scaling = Scaling.of_images(254)
    elif change == "layers":
        network = Feature(**INIT_ARGS | {"layers": LAYERS[::-1]}).network
    else:
        network.init_args["backbone_sha256"] = "another"
    cached_features(network, images, scaling, "features")
    assert len(list((workspace / "runs/.features").iterdir())) == 2


def test_features_of_samples_in_memory_are_computed_once_and_not_written(
    workspace, data, monkeypatch
):
    first = data.samples("train")[0]
    monkeypatch.setattr(features, "_compute", pytest.fail)
    assert data.samples("train")[0] is first
    assert not (workspace / "runs").exists()


@pytest.mark.parametrize("variant", ["Linear", "Undercomplete", "Stacked"])
def test_variants_train_on_features_that_are_computed_before(prepared, monkeypatch, variant):
    counts, compute = [], features._compute
    monkeypatch.setattr(
        features, "_compute", lambda *args: counts.append(len(args[1])) or compute(*args)
    )
    network, rows = train_in_memory(Feature, settings(variant), prepared)
    assert {*counts} == {4, 10}  # whole splits, never batches
    assert isinstance(network, FeatureNetwork)
    assert np.isfinite([row["validation_error"] for row in rows]).all()
