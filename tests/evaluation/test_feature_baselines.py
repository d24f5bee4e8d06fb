"""Baselines on features: distances against SciPy and a naive search, and metrics of pixels."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis

from hourglass.data.prepared_data import PreparedInMemory, Samples
from hourglass.data.scaling import Scaling, TiledScaling
from hourglass.data.tiling import Tiles, Tiling
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.calibrators import Quantile
from hourglass.evaluation import feature_baselines
from hourglass.evaluation.feature_baselines import (
    FEATURE_BASELINES,
    MapDetector,
    evaluate_feature_baseline,
    feature_neighbours,
    padim,
)


@pytest.fixture
def train() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, 5, 3, 4)).astype(np.float32)


@pytest.fixture
def others() -> np.ndarray:
    return 2 * np.random.default_rng(1).normal(size=(4, 5, 3, 4)).astype(np.float32)


def test_padim_is_the_mahalanobis_distance_at_each_position(train, others):
    maps = padim(train, seed=0)(others)
    assert maps.shape == (4, 3, 4)
    vectors = train[:, :, 1, 2].astype(np.float64)
    precision = np.linalg.inv(np.cov(vectors.T) + 0.01 * np.eye(5))
    expected = [mahalanobis(x, vectors.mean(0), precision) for x in others[:, :, 1, 2]]
    np.testing.assert_allclose(maps[:, 1, 2], expected, rtol=1e-4)


def test_padim_takes_random_channels_if_there_are_many(train, others, monkeypatch):
    monkeypatch.setattr(feature_baselines, "MAX_CHANNELS", 3)
    chosen = np.random.default_rng(7).permutation(5)[:3]
    expected = padim(train[:, np.sort(chosen)], seed=0)(others[:, np.sort(chosen)])
    np.testing.assert_allclose(padim(train, seed=7)(others), expected, rtol=1e-4)


def test_neighbours_are_those_of_local_means_of_standardised_channels(train, others):
    def local_means(x: np.ndarray) -> np.ndarray:
        x = (x - train.mean((0, 2, 3), keepdims=True)) / train.std((0, 2, 3), keepdims=True)
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
        shifted = [x[:, :, i : i + 3, j : j + 4] for i in range(3) for j in range(3)]
        return np.mean(shifted, 0).transpose(0, 2, 3, 1).reshape(-1, 5)

    expected = cdist(local_means(others), local_means(train)).min(1).reshape(4, 3, 4)
    np.testing.assert_allclose(feature_neighbours(train, seed=0)(others), expected, rtol=1e-3)


def test_the_score_of_an_image_is_the_mean_of_its_highest_distances(train, others):
    detector = MapDetector(lambda x: x, padim(train, 0), 0.25, Scaling.none())
    expected = np.sort(padim(train, 0)(others).reshape(4, -1))[:, -3:].mean(1)
    np.testing.assert_allclose(detector(others), expected, rtol=1e-5)


@pytest.mark.parametrize("name", FEATURE_BASELINES)
@pytest.mark.parametrize("tiling", [None, Tiling(1, 16, 16, 0.25)], ids=["whole", "tiles"])
def test_a_baseline_finds_bright_squares_and_their_pixels(name, tiling):
    rng = np.random.default_rng(0)
    x = rng.integers(100, 120, (70, 1, 32, 32), dtype=np.uint8)
    mask, anomaly = np.zeros((70, 32, 32), bool), np.arange(70) >= 60
    mask[60:, 8:16, 16:24] = True
    x[mask[:, None]] = 250
    names = {"train": slice(30), "calibration": slice(30, 50), "test": slice(50, 70)}
    label, ids = np.where(anomaly, "bad", "good"), np.arange(70).astype(str)
    splits = {k: Samples(x[s], label[s], anomaly[s], ids[s], mask[s]) for k, s in names.items()}
    scaling = Scaling.of_images(255)
    scaling = TiledScaling.of(scaling, tiling) if tiling else scaling
    card = {"scaling": scaling.to_dict(), "columns": [], "masks": True}
    prepared = PreparedInMemory("squares", card, splits)

    def features(images: np.ndarray | Tiles) -> np.ndarray:
        """Return the mean of each block of 4 x 4 pixels, and a constant channel."""
        side = images.shape[2] // 4
        means = images[:].astype(np.float32).reshape(-1, 1, side, 4, side, 4).mean((3, 5))
        return np.concatenate([means, np.ones_like(means)], 1)

    result = evaluate_feature_baseline(
        prepared, lambda train: FEATURE_BASELINES[name](train, 0), features, 0.05, Quantile(0.9),
        MapSettings(1),
    )  # fmt: skip
    metrics = result["metrics"]
    assert metrics["AUROC"] == 1
    assert metrics["pixel_AUROC"] > 0.95
    assert metrics["AUPRO"] > 0.8
