"""Prepared data sets written from arrays, and networks with known codes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from hourglass.data.prepared_data import SPLITS, Prepared, Samples, write_data_card, write_prepared
from hourglass.data.scaling import Encoding, Scaling
from hourglass.networks import Dense, Network
from hourglass.studies.latent_space import LatentSpace

SIDE, CLASSES = 4, ("a", "b", "c")


def write_splits(
    folder: Path,
    make: Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]],
    scaling: Encoding,
    **card: Any,
) -> Prepared:
    """Write a data set with x, label and anomaly of each split made by a function."""
    samples = {}
    for name in SPLITS:
        x, label, anomaly = make(name)
        ids = np.array([f"{name}/{i}" for i in range(len(x))])
        samples[name] = Samples(x, label, anomaly, ids)
    shape = {"sample_shape": list(samples["train"].x.shape[1:]), "scaling": scaling.to_dict()}
    folder.mkdir(exist_ok=True)
    write_prepared(
        folder, samples, {"data": folder.name, "feature_names": [], "columns": []} | shape | card
    )
    return Prepared.open(folder)


def rewrite(
    prepared: Prepared, change: Callable[[str, np.ndarray], np.ndarray], *names: str
) -> None:
    """Change arrays of a written data set, given their split, and update its checksums."""
    for split in SPLITS:
        for name in names:
            path = prepared.folder / split / f"{name}.npy"
            np.save(path, change(split, np.load(path)))
    write_data_card(prepared.folder, prepared.card)
    prepared.card.update(Prepared.open(prepared.folder).card)


def same_state(state: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two state dicts are equal, bit by bit."""
    return state.keys() == other.keys() and all(
        state[key].cpu().equal(other[key].cpu()) for key in state
    )


def project(shape: tuple[int, ...], axes: np.ndarray) -> Network:
    """Return a network that projects flat samples (D,) to orthonormal `axes`, (latent_dim, D)."""
    network = Dense(shape, len(axes))
    weights = torch.from_numpy(axes.astype(np.float32))
    layers = (network.encoder.get_submodule("1"), network.decoder.get_submodule("0"))
    with torch.no_grad():
        for layer, weight in zip(layers, (weights, weights.T), strict=True):
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(weight)
            layer.bias.zero_()
    return network.eval()


class FeatureMaps(Network):
    """A network whose codes are feature maps, (N, 2, H / 2, W / 2), as those of a VQ-VAE."""

    def __init__(self, side: int = SIDE) -> None:
        super().__init__(sample_shape=[1, side, side], latent_dim=2)
        torch.manual_seed(0)
        self.encoder = nn.Conv2d(1, 2, 2, stride=2)
        self.decoder = nn.ConvTranspose2d(2, 1, 2, stride=2)

    def decode(self, z: Tensor) -> Tensor:
        assert z.shape[1:] == (2, *(side // 2 for side in self.sample_shape[1:]))
        return super().decode(z)


def smooth(count: int, shape: tuple[int, ...], seed: int = 0, white: int = 255) -> np.ndarray:
    """Return images, (count, C, H, W) uint8, from black to white."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    soft = gaussian_filter(noise, (0, 0, 1.5, 1.5))
    low, high = soft.min((1, 2, 3), keepdims=True), soft.max((1, 2, 3), keepdims=True)
    return np.round(white * (soft - low) / (high - low)).astype(np.uint8)


@pytest.fixture
def smooth_images(tmp_path) -> Callable[..., Prepared]:
    """Give a function that prepares smooth images; every third one of a split is an anomaly."""

    def make(shape: tuple[int, ...], count: int = 9, white: int = 255) -> Prepared:
        def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            x = smooth(count, shape, SPLITS.index(name), white)
            return x, np.full(count, "smooth"), np.arange(count) % 3 == 2

        folder = tmp_path / "x".join(map(str, shape))
        return write_splits(folder, split, Scaling.of_images(white))

    return make


@pytest.fixture
def clusters(tmp_path) -> Prepared:
    """Give images of three classes, each bright in one element; test anomalies are dark."""
    rng = np.random.default_rng(0)

    def split(split_name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        label = np.repeat([*CLASSES, *(["other"] if split_name == "test" else [])], 20)
        x = rng.integers(0, 40, (len(label), 1, SIDE, SIDE)).astype(np.uint8)
        for column, name in enumerate(CLASSES):
            x[label == name, 0, 0, column] += 200
        return x, label, label == "other"

    return write_splits(tmp_path / "clusters", split, Scaling.of_images(255))


@pytest.fixture
def space(clusters) -> LatentSpace:
    """Give the latent space of a network whose code is the first three elements."""
    return first_elements(clusters, 3)


def first_elements(clusters: Prepared, latent_dim: int) -> LatentSpace:
    """Return the latent space of a network whose code is the first elements of a sample."""
    axes = np.eye(latent_dim, SIDE * SIDE)
    return LatentSpace.build(clusters, project((1, SIDE, SIDE), axes), seed=0)
