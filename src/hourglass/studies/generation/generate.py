"""Generate: samples by every sampler that suits a network, and how near to real ones they are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hourglass.core.errors import UserError
from hourglass.detection.inference import batched
from hourglass.networks import Network
from hourglass.studies.classification.reference_classifier import RealClassifier, features
from hourglass.studies.generation.conditional import class_agreement, codes_of_classes
from hourglass.studies.generation.distances import code_distances, summary
from hourglass.studies.generation.frechet import frechet_distance
from hourglass.studies.generation.samplers import samplers, some

COUNT = 2_000  # samples of a sampler, or of all classes together, at most


@dataclass(frozen=True)
class Generated:
    """Hold what was made up, in the scaled units, and how it was judged.

    The first source is `real`, test samples beside those that the others are held against; the
    second `reconstructions`, these by way of the network; then one a sampler.
    """

    samples: dict[str, np.ndarray]  # of each source, (count, *S) float32
    by_class: dict[str, np.ndarray]  # of each class, (n, *S); empty where there is but one
    distances: dict[str, np.ndarray]  # of codes to the nearest training code, (count,)
    frechet: pd.DataFrame  # source, samples, frechet_distance
    code_distance: pd.DataFrame  # source, q01 to q99, share_far
    agreement: pd.DataFrame | None  # class, samples, class_agreement; None without a classifier


def generate(
    network: Network,
    codes: np.ndarray,
    label: np.ndarray,
    real: np.ndarray,
    classifier: RealClassifier | None = None,
    seed: int = 0,
) -> Generated:
    """Return samples of a network and what became of them, from the codes of training samples.

    `codes` (n, latent_dim) and `label` (n,) are of training samples, `real` (N, *S) are scaled
    test samples: a part of them shows what real samples reach, and all sources are held against
    the rest. The Frechet distance is one of the classifier's features, or without it of the
    samples themselves; of some hundred samples it is mostly noise, and a sampler that avoids what
    is rare may seem nearer than real ones. The same seed gives the same bytes.

    Raises a UserError for fewer than four test samples.
    """
    if len(real) < 4:
        raise UserError(f"there are {len(real)} test samples, but generating takes at least 4.")
    order, count = np.random.default_rng(seed).permutation(len(real)), min(COUNT, len(real) // 2)
    floor, others = real[order[:count]], real[order[count:]]
    drawn = {
        name: each.sample(count, seed) for name, each in samplers(network, codes, seed).items()
    }
    samples = {"real": floor, "reconstructions": batched(network, network, floor)}
    samples |= {name: decoded(network, each) for name, each in drawn.items()}
    known = {"real": batched(network, network.encode, floor)} | drawn
    distances = code_distances(known, some(codes))
    by_class = _by_class(network, codes, label, seed)
    agreement = class_agreement(by_class, classifier) if classifier and by_class else None
    table = frechet_table(samples, others, classifier)
    return Generated(samples, by_class, distances, table, summary(distances), agreement)


def decoded(network: Network, codes: np.ndarray) -> np.ndarray:
    """Return decoded codes in the scaled units: (N, latent_dim) float32 -> (N, *S) float32."""
    return batched(network, network.decode, codes)


def frechet_table(
    samples: dict[str, np.ndarray], real: np.ndarray, classifier: RealClassifier | None
) -> pd.DataFrame:
    """Return the Frechet distance of each source's samples (n, *S) to real ones (N, *S)."""

    def seen(x: np.ndarray) -> np.ndarray:
        return features(classifier, x) if classifier else x.reshape(len(x), -1)

    reference = seen(real)
    rows = [
        (source, len(each), frechet_distance(seen(each), reference))
        for source, each in samples.items()
    ]
    return pd.DataFrame(rows, columns=["source", "samples", "frechet_distance"])


def _by_class(
    network: Network, codes: np.ndarray, label: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return samples of each class, COUNT in all; none where there is one class only."""
    count = len(np.unique(label))
    if count < 2:
        return {}
    drawn = codes_of_classes(codes, label, max(1, COUNT // count), seed)
    return {name: decoded(network, each) for name, each in drawn.items()}
