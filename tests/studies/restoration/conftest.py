"""What the tests of restoration share: a prepared data set of smooth images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hourglass.data.prepared import SPLITS, Prepared, Samples, write_prepared
from hourglass.data.scaling import Scaling


def smooth(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return images, (count, C, H, W) uint8, from black to white."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    soft = gaussian_filter(noise, (0, 0, 1.5, 1.5))
    low, high = soft.min((1, 2, 3), keepdims=True), soft.max((1, 2, 3), keepdims=True)
    return np.round(255 * (soft - low) / (high - low)).astype(np.uint8)


@pytest.fixture
def prepared(tmp_path) -> Callable[..., Prepared]:
    """Give a function that prepares smooth images; every third one of a split is anomalous."""

    def make(shape: tuple[int, ...] = (3, 13, 12), count: int = 9) -> Prepared:
        folder = Path(tmp_path / "x".join(map(str, shape)))
        folder.mkdir()
        samples = {
            name: Samples(
                smooth(count, shape, seed),
                np.full(count, "smooth"),
                np.arange(count) % 3 == 2,
                np.array([f"{name}/{i}" for i in range(count)]),
            )
            for seed, name in enumerate(SPLITS)
        }
        scaling = Scaling.of_images(255.0).to_dict()
        write_prepared(folder, samples, {"sample_shape": list(shape), "scaling": scaling})
        return Prepared.open(folder)

    return make
