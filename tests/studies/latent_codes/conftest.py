"""Clusters of samples, and a network whose codes are parts of the samples."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.networks import Dense, Network
from hourglass.studies.latent_space import LatentSpace
from tests.studies.conftest import write_splits

SIDE, CLASSES = 4, ("a", "b", "c")


class Truncation(Dense):
    """Return the first elements of a sample as its code; decoding sets the others to 0."""

    def __init__(self, latent_dim: int = 3) -> None:
        super().__init__([1, SIDE, SIDE], latent_dim)
        with torch.no_grad():
            for layer in (self.encoder.get_submodule("1"), self.decoder.get_submodule("0")):
                assert isinstance(layer, nn.Linear)
                layer.weight.copy_(torch.eye(*layer.weight.shape))
                layer.bias.zero_()


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


@pytest.fixture
def prepared(tmp_path) -> Prepared:
    """Give images of three classes, each bright in one element; test anomalies are dark."""
    rng = np.random.default_rng(0)

    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        label = np.repeat([*CLASSES, *(["other"] if name == "test" else [])], 20)
        x = rng.integers(0, 40, (len(label), 1, SIDE, SIDE)).astype(np.uint8)
        for place, each in enumerate(CLASSES):
            x[label == each, 0, 0, place] += 200
        return x, label, label == "other"

    return write_splits(tmp_path / "clusters", split, Scaling.of_images(255))


@pytest.fixture
def space(prepared) -> LatentSpace:
    """Give the latent space of a network whose code is the first three elements."""
    return LatentSpace.build(prepared, Truncation().eval(), seed=0)


@pytest.fixture
def brightest() -> Callable[[np.ndarray], np.ndarray]:
    """Give the correct classifier of these images: the brightest of three elements."""
    return lambda x: x.reshape(len(x), -1)[:, :3].argmax(1)
