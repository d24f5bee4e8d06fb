"""Which features or pixels made a sample unusual."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hourglass.data.scaling import Scaling
from hourglass.detection.inference import map_samples
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import LEAST_SCALE
from hourglass.networks import Network

FEATURES = 3  # that are named for a sample


@dataclass(frozen=True)
class Profile:
    """The squared errors of elements on normal samples, in the scaled units."""

    mean: np.ndarray  # (F,) float32
    scale: np.ndarray  # (F,) float32: the standard deviation, or a little where that is less

    @classmethod
    def fit(cls, network: Network, scaling: Scaling, x: np.ndarray) -> "Profile":
        """Return the profile of normal samples, (n, *S), unscaled, that trained no weights."""
        sums = map_samples(network, _sums, x, scaling).sum(0)
        mean, square = sums / len(x)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        least = max(LEAST_SCALE * deviation.mean(), float(np.finfo(np.float32).tiny))
        return cls(mean.astype(np.float32), np.maximum(deviation, least).astype(np.float32))

    def contributions(self, view: ForwardCache) -> Tensor:
        """Return how far each element's error is above that of normal samples: (N, F).

        In standard deviations of that element's squared error on normal samples, so that a noisy
        feature does not always win.
        """
        mean, scale = (torch.from_numpy(each).to(view.x.device) for each in (self.mean, self.scale))
        return (view.squared_error - mean) / scale


def largest(contributions: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the largest contributions and these, in order: (N, F) -> (N, most) each.

    At most F of them.
    """
    most = min(most, contributions.shape[1])
    places = np.argpartition(contributions, -most, axis=1)[:, -most:]  # cheaper than to sort all
    values = np.take_along_axis(contributions, places, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(places, order, 1), np.take_along_axis(values, order, 1)


def _sums(view: ForwardCache) -> Tensor:
    squared = view.squared_error.double()
    return torch.stack([squared.sum(0), squared.square().sum(0)])[None]
