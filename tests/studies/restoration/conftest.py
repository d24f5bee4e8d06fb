"""Prepared data sets of smooth images."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.data.scaling import Scaling
from tests.studies.conftest import write_splits


def smooth(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return images, (count, C, H, W) uint8, from black to white."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    soft = gaussian_filter(noise, (0, 0, 1.5, 1.5))
    low, high = soft.min((1, 2, 3), keepdims=True), soft.max((1, 2, 3), keepdims=True)
    return np.round(255 * (soft - low) / (high - low)).astype(np.uint8)


@pytest.fixture
def prepared(tmp_path) -> Callable[..., Prepared]:
    """Give a function that prepares smooth images; every third one of a split is an anomaly."""

    def make(shape: tuple[int, ...] = (3, 13, 12), count: int = 9) -> Prepared:
        def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            x = smooth(count, shape, SPLITS.index(name))
            return x, np.full(count, "smooth"), np.arange(count) % 3 == 2

        folder = tmp_path / "x".join(map(str, shape))
        return write_splits(folder, split, Scaling.of_images(255.0))

    return make
