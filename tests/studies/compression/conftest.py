"""Prepared data sets whose samples need no file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hourglass.data.prepared import SPLITS, Prepared, Samples, write_prepared
from hourglass.data.scaling import Scaling

WHITE = 200  # of a pixel: what 255 is to others


def smooth(rng: np.random.Generator, count: int, channels: int) -> np.ndarray:
    """Return (N, C, 16, 16) uint8 images of three waves each, so that they can be compressed."""
    waves = np.cos(np.linspace(0, np.pi, 16) * np.arange(1, 4)[:, None])
    weights = rng.normal(size=(count, channels, 3, 3))
    x = np.einsum("ncab,ah,bw->nchw", weights, waves, waves)
    return np.clip(WHITE * (0.5 + 0.2 * x), 0, WHITE).astype(np.uint8)


@pytest.fixture
def prepared(tmp_path) -> Callable[[int], Prepared]:
    """Give a function that prepares images of so many channels, or a table where they are 0.

    Every other sample of the test split is an anomaly, far off.
    """

    def make(channels: int) -> Prepared:
        rng, samples = np.random.default_rng(0), {}
        scaling = Scaling("none", np.zeros(6, np.float32), np.ones(6, np.float32))
        for name in SPLITS:
            x = smooth(rng, 120, channels) if channels else rng.normal(size=(120, 6))
            x, anomaly = x.astype(np.uint8 if channels else np.float32), np.zeros(120, bool)
            if name == "test":
                anomaly[::2] = True
                x[anomaly] = WHITE
            names = np.array([f"{name}/{i}" for i in range(120)])
            samples[name] = Samples(x, np.where(anomaly, "bad", "good"), anomaly, names)
        card = {
            "sample_shape": list(samples["train"].x.shape[1:]),
            "scaling": (Scaling.of_images(WHITE) if channels else scaling).to_dict(),
        }
        folder = Path(tmp_path / f"prepared{channels}")
        folder.mkdir()
        write_prepared(folder, samples, card)
        return Prepared.open(folder)

    return make
