"""Prepared data sets of images that can be compressed, and of a table."""

from collections.abc import Callable

import numpy as np
import pytest

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from tests.studies.conftest import write_splits

WHITE = 200  # the brightest pixel value


def smooth(rng: np.random.Generator, count: int, channels: int) -> np.ndarray:
    """Return (N, C, 16, 16) uint8 images of three waves each."""
    waves = np.cos(np.linspace(0, np.pi, 16) * np.arange(1, 4)[:, None])
    weights = rng.normal(size=(count, channels, 3, 3))
    x = np.einsum("ncab,ah,bw->nchw", weights, waves, waves)
    return np.clip(WHITE * (0.5 + 0.2 * x), 0, WHITE).astype(np.uint8)


@pytest.fixture
def prepared(tmp_path) -> Callable[[int], Prepared]:
    """Give a function that prepares images with a number of channels, or a table if it is 0.

    Every other test sample is an anomaly.
    """

    def make(channels: int) -> Prepared:
        rng = np.random.default_rng(0)

        def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            x = smooth(rng, 120, channels) if channels else rng.normal(size=(120, 6))
            x = x.astype(np.uint8 if channels else np.float32)
            anomaly = (np.arange(120) % 2 == 0) & (name == "test")
            x[anomaly] = WHITE
            return x, np.where(anomaly, "bad", "good"), anomaly

        table_scaling = Scaling("none", np.zeros(6, np.float32), np.ones(6, np.float32))
        scaling = Scaling.of_images(WHITE) if channels else table_scaling
        return write_splits(tmp_path / f"prepared{channels}", split, scaling)

    return make
