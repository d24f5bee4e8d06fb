"""Attribution: the contribution of each feature or pixel to a sample's reconstruction error."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hourglass.data.scaling import Scaling
from hourglass.detection.inference import map_samples
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import MIN_SCALE_FRACTION
from hourglass.networks import Network

TOP_FEATURES = 3  # features listed per sample


@dataclass(frozen=True)
class Profile:
    """Mean and spread of each element's squared error on normal samples, in scaled units."""

    mean: np.ndarray  # (F,) float32
    scale: np.ndarray  # (F,) float32: the standard deviation, bounded from below

    @classmethod
    def fit(cls, network: Network, scaling: Scaling, x: np.ndarray) -> "Profile":
        """Fit the profile to normal samples, (n, *S), unscaled and not used in training."""
        sums = map_samples(network, _sums, x, scaling).sum(0)
        mean, square = sums / len(x)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        smallest = max(MIN_SCALE_FRACTION * deviation.mean(), float(np.finfo(np.float32).tiny))
        return cls(mean.astype(np.float32), np.maximum(deviation, smallest).astype(np.float32))

    def contributions(self, forward: ForwardCache) -> Tensor:
        """Return the excess of each element's squared error over its normal mean, (N, F).

        The unit is the standard deviation of that element's squared error on normal samples, so
        that a noisy feature does not always rank first.
        """
        device = forward.x.device
        mean, scale = (torch.from_numpy(array).to(device) for array in (self.mean, self.scale))
        return (forward.squared_error - mean) / scale


def top_features(contributions: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and values of the `count` largest contributions, in descending order.

    (N, F) -> two arrays (N, min(count, F)).
    """
    count = min(count, contributions.shape[1])
    indices = np.argpartition(contributions, -count, axis=1)[:, -count:]  # faster than a full sort
    values = np.take_along_axis(contributions, indices, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(indices, order, 1), np.take_along_axis(values, order, 1)


def _sums(forward: ForwardCache) -> Tensor:
    """Return the sums over a batch of the squared errors and of their squares, (1, 2, F)."""
    squared = forward.squared_error.double()
    return torch.stack([squared.sum(0), squared.square().sum(0)])[None]
