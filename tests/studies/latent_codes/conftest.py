"""What the tests of the latent space share: clusters of samples, and a network that knows them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hourglass.data.prepared import SPLITS, Prepared, Samples, write_data_card, write_prepared
from hourglass.networks import Dense
from hourglass.studies.latent_codes.latent_space import LatentSpace

SIDE, CLASSES = 4, ("a", "b", "c")


class Exact(Dense):
    """Take the first elements of a sample as its code, and put them back: nothing is trained."""

    def __init__(self, latent_dim: int = 3) -> None:
        super().__init__([1, SIDE, SIDE], latent_dim)
        with torch.no_grad():
            for layer in (self.encoder.get_submodule("1"), self.decoder.get_submodule("0")):
                assert isinstance(layer, torch.nn.Linear)
                layer.weight.copy_(torch.eye(*layer.weight.shape))
                layer.bias.zero_()


@pytest.fixture
def prepared(tmp_path) -> Prepared:
    """Give images of three classes, each bright in an element of its own; anomalies in none."""
    rng = np.random.default_rng(0)
    splits = {}
    for name in SPLITS:
        label = np.repeat([*CLASSES, *(["other"] if name == "test" else [])], 20)
        x = rng.integers(0, 40, (len(label), 1, SIDE, SIDE)).astype(np.uint8)
        for place, each in enumerate(CLASSES):
            x[label == each, 0, 0, place] += 200
        ids = np.array([f"{name}/{i}" for i in range(len(label))])
        splits[name] = Samples(x, label, label == "other", ids)
    scaling = {"kind": "divide", "offset": 0.0, "scale": 255.0}
    card = {"data": "clusters", "feature_names": [], "scaling": scaling, "sha256": "0" * 64}
    write_prepared(tmp_path, splits, {**card, "sample_shape": [1, SIDE, SIDE]})
    return Prepared.open(Path(tmp_path))


def reseal(prepared: Prepared) -> None:
    """Have a data set's card speak for its arrays as they are now."""
    write_data_card(prepared.folder, prepared.card)
    prepared.card.update(Prepared.open(prepared.folder).card)


@pytest.fixture
def space(prepared) -> LatentSpace:
    """Give the space of a network whose code is the first three elements."""
    return LatentSpace.of(prepared, Exact().eval(), seed=0)


@pytest.fixture
def brightest() -> Callable[[np.ndarray], np.ndarray]:
    """Give the classifier that is right about these images: the brightest of three elements."""
    return lambda x: x.reshape(len(x), -1)[:, :3].argmax(1)
