"""A trained network, the samples of its data set, and their latent codes as vectors.

Codes that are feature maps, (N, C, H, W), are vectors here: see `Network.encode_flat`.
"""

from dataclasses import dataclass, replace

import numpy as np

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Encoding, filled_inputs
from hourglass.detection.inference import batched
from hourglass.detection.scoring import latent_codes
from hourglass.networks import Network
from hourglass.studies.classification.labelled_splits import (
    LabelledSplits,
    class_names,
    labelled_splits,
)


def encode_scaled(network: Network, x: np.ndarray) -> np.ndarray:
    """Encode scaled samples: (N, *S) float32 -> (N, latent_dim) float32."""
    return batched(network, network.encode_flat, x)


def decode(network: Network, codes: np.ndarray) -> np.ndarray:
    """Decode codes to scaled units: (N, latent_dim) float32 -> (N, *S) float32."""
    return batched(network, network.decode_flat, codes)


def encode_splits(splits: LabelledSplits, network: Network, scaling: Encoding) -> LabelledSplits:
    """Replace the samples of all splits by their codes, (N, latent_dim) float32."""
    return splits.map_x(lambda x: latent_codes(network, x, scaling))


def flatten_splits(splits: LabelledSplits, scaling: Encoding) -> LabelledSplits:
    """Replace the samples of all splits by scaled and flattened samples, (N, D) float32."""
    return splits.map_x(lambda x: filled_inputs(scaling, x).reshape(len(x), -1))


def evenly_spaced(count: int, limit: int) -> np.ndarray:
    """Return at most `limit` evenly spaced indices below `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int))


MAX_CODE_ELEMENTS = 2**26  # of the codes of training samples, 256 MiB


@dataclass(frozen=True)
class LatentSpace:
    """The input of every analysis: a network, a data set, and the latent codes of its samples."""

    prepared: Prepared
    network: Network
    classes: list[str]  # of the normal samples
    samples: LabelledSplits  # unscaled, (N, *S)
    codes: LabelledSplits  # (N, latent_dim) float32, in the same order
    anomaly_labels: np.ndarray  # (n,) labels of the anomalies in the test split
    anomaly_codes: np.ndarray  # (n, latent_dim) float32
    seed: int

    @classmethod
    def build(cls, prepared: Prepared, network: Network, seed: int) -> "LatentSpace":
        """Encode a data set with a network; of wide codes, a part of the training samples."""
        scaling, classes = prepared.scaling, class_names(prepared)
        samples, test = labelled_splits(prepared, classes, seed), prepared.split("test")
        limit = MAX_CODE_ELEMENTS // network.latent_dim
        samples = replace(samples, train=samples.train.first(limit))
        codes = encode_splits(samples, network, scaling)
        anomaly_codes = codes.test.x[:0]
        if test.anomaly.any():
            anomaly_codes = latent_codes(network, test.x[test.anomaly], scaling)
        labels = test.label[test.anomaly]
        return cls(prepared, network, classes, samples, codes, labels, anomaly_codes, seed)

    @property
    def scaling(self) -> Encoding:
        """Return the scaling of the samples."""
        return self.prepared.scaling

    @property
    def is_image(self) -> bool:
        """Return True if the samples are images."""
        return not self.prepared.card["feature_names"]

    @property
    def labelled(self) -> bool:
        """Return True if the normal samples have at least two classes."""
        return len(self.classes) > 1

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decode codes to scaled units: (N, latent_dim) float32 -> (N, *S) float32."""
        return decode(self.network, codes)
