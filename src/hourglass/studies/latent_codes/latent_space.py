"""What a study looks at: a trained network, the samples of its data set, and their codes."""

from dataclasses import dataclass

import numpy as np

from hourglass.data.prepared import Prepared
from hourglass.data.scaling import Scaling
from hourglass.detection import scoring
from hourglass.detection.inference import batched
from hourglass.networks import Network
from hourglass.studies.classification.features import flat
from hourglass.studies.classification.labelled_subsets import Parts, names, parts


@dataclass(frozen=True)
class LatentSpace:
    """Hold the normal samples of a data set, the test split's anomalies, and the codes of both."""

    prepared: Prepared
    network: Network
    classes: list[str]  # of the normal samples
    samples: Parts  # unscaled, (N, *S)
    codes: Parts  # (N, latent_dim) float32, in the same order
    anomalies: np.ndarray  # (N,) the labels of the test split's anomalies
    anomaly_codes: np.ndarray  # (N, latent_dim) float32
    seed: int

    @classmethod
    def of(cls, prepared: Prepared, network: Network, seed: int) -> "LatentSpace":
        """Return the space of a network; the test split gives what is shown and measured."""
        scaling, classes = prepared.scaling, names(prepared)
        samples, test = parts(prepared, classes, seed), prepared.split("test")
        codes = flat(network, scaling, samples)
        anomalous = np.flatnonzero(test.anomaly)
        found = np.zeros((0, network.latent_dim), np.float32)
        if len(anomalous):
            found = scoring.latent_codes(network, test.x[anomalous], scaling)
        labels = test.label[anomalous]
        return cls(prepared, network, classes, samples, codes, labels, found, seed)

    @property
    def scaling(self) -> Scaling:
        """Return how samples are scaled for the network."""
        return self.prepared.scaling

    @property
    def is_image(self) -> bool:
        """Say whether the samples are images."""
        return not self.prepared.card["feature_names"]

    @property
    def labelled(self) -> bool:
        """Say whether the normal samples are of more than one class."""
        return len(self.classes) > 1

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return what codes stand for, in the scaled units: (N, latent_dim) -> (N, *S) float32."""
        return batched(self.network, self.network.decode, codes)
