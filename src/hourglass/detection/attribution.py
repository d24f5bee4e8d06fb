"""Attribution: the contribution of each feature or pixel to a sample's reconstruction error."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hourglass.data.scaling import Encoding, network_samples
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.inference import map_batches
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import MIN_SCALE_FRACTION
from hourglass.detection.series_scoring import map_rows
from hourglass.networks import Network

TOP_FEATURES = 3  # features listed per sample


@dataclass(frozen=True)
class Profile:
    """Mean and spread on normal samples of each pixel's squared error, or each column's loss.

    The pixels are those of an image, or of a tile of large images.
    """

    mean: np.ndarray  # (F,) float32
    scale: np.ndarray  # (F,) float32: the standard deviation, bounded from below

    @classmethod
    def fit(cls, network: Network, scaling: Encoding, x: np.ndarray) -> "Profile":
        """Fit the profile to normal samples, (n, *S), unscaled and not used in training."""
        if isinstance(scaling, SeriesEncoding):
            losses = torch.from_numpy(map_rows(network, x, scaling, _losses)[0])
            sums = _column_sums(losses)[0].numpy()
        else:
            samples = network_samples(scaling, x)
            sums = sum(array[0] for (array,) in map_batches(network, samples, scaling, _sums))
        mean, square = sums[:2] / np.maximum(sums[2], 1)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        smallest = max(MIN_SCALE_FRACTION * deviation.mean(), float(np.finfo(np.float32).tiny))
        return cls(mean.astype(np.float32), np.maximum(deviation, smallest).astype(np.float32))

    def contributions(self, forward: ForwardCache) -> Tensor:
        """Return the excess of each loss over its normal mean, (N, F); 0 for a missing cell.

        Those of a series are by step, (N, W, F).

        The unit is the standard deviation of that loss on normal samples, so that a noisy feature
        does not always rank first.
        """
        device = forward.x.device
        mean, scale = (torch.from_numpy(array).to(device) for array in (self.mean, self.scale))
        return torch.nan_to_num((_losses(forward) - mean) / scale, nan=0.0)


def top_features(contributions: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices and values of the `count` largest contributions, in descending order.

    (N, F) -> two arrays (N, min(count, F)).
    """
    count = min(count, contributions.shape[1])
    indices = np.argpartition(contributions, -count, axis=1)[:, -count:]  # faster than a full sort
    values = np.take_along_axis(contributions, indices, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(indices, order, 1), np.take_along_axis(values, order, 1)


def _losses(forward: ForwardCache) -> Tensor:
    """Return the squared error of each pixel, or the loss of each column, (N, F).

    In a table, extreme numbers change no output: otherwise reasons would name columns with ordinary
    values.
    """
    heads = forward.network.heads
    if not heads or forward.usual_output is forward.table_output:
        return forward.sample_losses
    return heads.losses(forward.x, forward.usual_output)


def _sums(forward: ForwardCache) -> Tensor:
    """Return the sums over a batch of the losses, of their squares, and of 1, (1, 3, F)."""
    return _column_sums(_losses(forward))


def _column_sums(losses: Tensor) -> Tensor:
    """Return the sums over losses, (N, F), over their squares, and over 1, (1, 3, F)."""
    losses = losses.double()
    known = ~losses.isnan()
    losses = losses.masked_fill(~known, 0)
    return torch.stack([losses.sum(0), losses.square().sum(0), known.sum(0)])[None]
