"""Baseline detectors of images on the features of a frozen backbone: PaDiM and nearest neighbours.

Both give each position of the feature maps, (F, h, w), a distance from the training images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from sklearn.neighbors import NearestNeighbors

from hourglass.data.large_arrays import new_array
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Encoding, network_samples
from hourglass.data.tiling import MergedImages, Tiles, clear_padding
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.calibrators import Calibrator
from hourglass.evaluation.baselines import evaluate_baseline
from hourglass.evaluation.metrics.pixels import PixelRanks
from hourglass.evaluation.window_baselines import MAX_TRAIN_BYTES
from hourglass.networks.feature import top_mean

# A function: features, (N, F, h, w) -> distance of each position, (N, h, w).
DistanceMaps: TypeAlias = Callable[[np.ndarray], np.ndarray]
# A function: unscaled images or tiles, (N, C, H, W) -> their features.
FeatureFunction: TypeAlias = Callable[[np.ndarray | Tiles], np.ndarray]

MAX_TRAIN_FEATURE_BYTES = 1 << 30  # of training images, evenly spaced
MAX_CHANNELS = 550  # of PaDiM, random ones, as its covariances grow with their square
REGULARISATION = 0.01  # added to the variances of PaDiM
MAX_VECTORS = 10_000  # random vectors of training images that neighbours are searched among
NEIGHBOURHOOD = 3  # positions per side over which features are averaged
BATCH_SIZE = 16


def padim(train: np.ndarray, seed: int) -> DistanceMaps:
    """Return Mahalanobis distances from a Gaussian per position (Defard et al. 2021)."""
    channels = np.random.default_rng(seed).permutation(train.shape[1])[:MAX_CHANNELS]
    vectors = _by_position(train[:, channels])
    mean = vectors.mean(1, keepdims=True)
    whitening = np.empty((len(vectors), len(channels), len(channels)), np.float32)
    for position, deviations in enumerate(vectors - mean):
        covariance = deviations.T.astype(np.float64) @ deviations / (len(train) - 1)
        covariance[np.diag_indices_from(covariance)] += REGULARISATION
        whitening[position] = np.linalg.inv(np.linalg.cholesky(covariance)).T

    def maps(features: np.ndarray) -> np.ndarray:
        whitened = (_by_position(features[:, channels]) - mean) @ whitening
        distances = np.sqrt(np.square(whitened).sum(2)).T
        return distances.reshape(len(features), *features.shape[2:])

    return maps


def feature_neighbours(train: np.ndarray, seed: int) -> DistanceMaps:
    """Return distances to the nearest of random training vectors of any position.

    As in PatchCore (Roth et al. 2022), features are averaged over a neighbourhood of positions; its
    coreset is a random subset here. Channels are standardised.
    """
    mean, std = (f((0, 2, 3))[:, None, None] for f in (train.mean, train.std))

    def vectors(features: np.ndarray) -> np.ndarray:
        size = (1, 1, NEIGHBOURHOOD, NEIGHBOURHOOD)
        local = uniform_filter((features - mean) / (std + 1e-6), size, mode="nearest")
        return local.transpose(0, 2, 3, 1).reshape(-1, train.shape[1])

    parts = [vectors(train[i : i + BATCH_SIZE]) for i in range(0, len(train), BATCH_SIZE)]
    known = np.concatenate(parts)
    chosen = np.random.default_rng(seed).permutation(len(known))[:MAX_VECTORS]
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(known[chosen])

    def maps(features: np.ndarray) -> np.ndarray:
        distances = search.kneighbors(vectors(features))[0]
        return distances.reshape(len(features), *features.shape[2:])

    return maps


FEATURE_BASELINES: dict[str, Callable[[np.ndarray, int], DistanceMaps]] = {
    fit.__name__: fit for fit in (padim, feature_neighbours)
}


@dataclass(frozen=True)
class MapDetector:
    """A baseline that is fitted to the train split.

    Its score of an image is that of the network `Feature`: the mean of the share `top_share` of the
    highest distances. Those of tiles are combined, and their maps are merged.
    """

    features: FeatureFunction
    distances: DistanceMaps
    top_share: float
    scaling: Encoding

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the score of each unscaled image, (N, C, H, W) -> (N,)."""
        maps = self._maps(samples := network_samples(self.scaling, x))
        flat = torch.from_numpy(maps.reshape(len(maps), -1))
        scores = top_mean(flat, self.top_share).double().numpy()
        if isinstance(samples, Tiles):
            return samples.combine(scores, samples.tiling.combine)
        return scores

    def enlarged(self, x: np.ndarray, settings: MapSettings) -> np.ndarray:
        """Return smoothed maps at the size of the images, (N, H, W) float32."""
        samples = network_samples(self.scaling, x)
        maps, size = self._maps(samples), samples.shape[2:]
        merged = MergedImages(samples, ()) if isinstance(samples, Tiles) else None
        result = merged.result if merged else new_array((len(x), *size), np.float32)
        for start in range(0, len(maps), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            found = settings.enlarge(torch.from_numpy(maps[rows]), *size).numpy()
            if merged:
                merged.add(found)
            else:
                result[rows] = found
        if isinstance(samples, Tiles):
            clear_padding(result, samples.sizes)
        return result

    def _maps(self, x: np.ndarray | Tiles) -> np.ndarray:
        features = self.features(x)
        parts = range(0, len(features), BATCH_SIZE)
        maps = [self.distances(np.array(features[i : i + BATCH_SIZE])) for i in parts]
        return np.concatenate(maps).astype(np.float32)


def evaluate_feature_baseline(
    prepared: Prepared,
    fit: Callable[[np.ndarray], DistanceMaps],
    features: FeatureFunction,
    top_share: float,
    calibrator: Calibrator,
    settings: MapSettings,
) -> dict[str, Any]:
    """Return threshold and metrics of a baseline, as of pixels if their masks are known.

    `fit` takes the features of the training images.
    """
    fitted: list[MapDetector] = []

    def train(samples: Prepared) -> MapDetector:
        scaling = samples.scaling
        inputs = network_samples(scaling, samples.x("train"))
        if isinstance(inputs, Tiles):
            inputs = inputs.spaced(MAX_TRAIN_BYTES)
        found = features(inputs)
        step = max(1, math.ceil(found.nbytes / MAX_TRAIN_FEATURE_BYTES))
        distances = fit(np.array(found[::step]))
        fitted.append(MapDetector(features, distances, top_share, scaling))
        return fitted[-1]

    result, test = evaluate_baseline(prepared, train, calibrator), prepared.split("test")
    if test.mask is not None and test.mask.any():
        maps = fitted[0].enlarged(test.x, settings)
        result["metrics"] |= PixelRanks.of(maps, test.mask, test.anomaly).metrics()
    return result


def _by_position(features: np.ndarray) -> np.ndarray:
    """Return the vectors of each position: (N, F, h, w) -> (h w, N, F)."""
    return features.reshape(*features.shape[:2], -1).transpose(2, 0, 1)
