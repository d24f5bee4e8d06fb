"""Analysis `generation`: images decoded from random codes, compared with real test images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hourglass.core.errors import UserError
from hourglass.detection.inference import batched
from hourglass.evaluation.figures import generation as figures
from hourglass.networks import Network
from hourglass.studies.classification.reference_classifier import (
    RealClassifier,
    extract_features,
    predict_classes,
)
from hourglass.studies.generation.distances import (
    code_distances,
    frechet_distance,
    summarise_distances,
)
from hourglass.studies.generation.samplers import Mixture, fit_samplers, subsample
from hourglass.studies.latent_space import LatentSpace, decode, encode_scaled
from hourglass.studies.results import StudyResult

MAX_SAMPLES = 2_000  # generated per sampler, and for all classes together
MAX_CLASS_CODES = 2_500  # to which the mixture of a class is fitted
MIN_TEST_SAMPLES = 4


def analyse_generation(space: LatentSpace, classifier: RealClassifier | None) -> StudyResult:
    """Draw codes from several samplers, decode them, and compare the results with test images.

    The tables are:

    - frechet_distances: per sampler, for reconstructions, and for held-out real samples
    - code_distances: quantiles of the distance from a code to the nearest training code
    - class_agreement: share of the samples generated for a class that the classifier assigns to it

    The metric `frechet_distance` is the lowest Frechet distance of all samplers.
    """
    codes, real = space.codes.train, space.scaling(np.asarray(space.samples.test.x))
    label = np.array(space.classes)[codes.y]
    result = generate(space.network, codes.x, label, real, classifier, space.seed)
    frechet = dict(zip(result.frechet.source, result.frechet.frechet_distance, strict=True))
    metrics = {f"frechet_distance_{name}": float(value) for name, value in frechet.items()}
    samplers = frechet.keys() - {"real", "reconstructions"}
    metrics["frechet_distance"] = float(min(frechet[name] for name in samplers))
    tables = {"frechet_distances": result.frechet, "code_distances": result.code_distance}
    limit = result.code_distance.set_index("source").q99["real"]
    drawn = {
        "generated": figures.sources(result.samples, result.frechet),
        "code_distances": figures.code_distances(result.distances, float(limit)),
    }
    if result.by_class:
        drawn["generated_classes"] = figures.by_class(result.by_class, result.agreement)
    if result.agreement is not None:
        tables["class_agreement"] = result.agreement
        metrics["class_agreement"] = float(result.agreement.class_agreement.iloc[-1])
    return StudyResult(metrics, tables, drawn)


@dataclass(frozen=True)
class Generated:
    """Generated samples in scaled units, and their comparison with real samples.

    The sources are `real` (held-out test samples), `reconstructions` of these, and one per sampler.
    All sources are compared with the remaining test samples, the reference.
    """

    samples: dict[str, np.ndarray]  # per source, (count, *S) float32
    by_class: dict[str, np.ndarray]  # per class, (n, *S); empty for a single class
    distances: dict[str, np.ndarray]  # per source, (count,): to the nearest training code
    frechet: pd.DataFrame  # columns source, samples, frechet_distance
    code_distance: pd.DataFrame  # columns source, q01 to q99, share_far
    # Columns class, samples, class_agreement; None without a classifier or for a single class.
    agreement: pd.DataFrame | None


def generate(
    network: Network,
    codes: np.ndarray,
    label: np.ndarray,
    real: np.ndarray,
    classifier: RealClassifier | None = None,
    seed: int = 0,
) -> Generated:
    """Generate samples with every applicable sampler and compare them with real test samples.

    `codes` (n, latent_dim) and `label` (n,) belong to training samples. `real` (N, *S) are scaled
    test samples, and are split into the source `real` and the reference. The distance of the source
    `real` is the best value that a sampler can be expected to reach.

    The Frechet distance compares the classifier's features, or the samples themselves if there is
    no classifier. With a few hundred samples it is mostly noise: a sampler that avoids rare samples
    may score better than real samples. The same seed gives byte-identical results.

    Raises a UserError for fewer than four test samples.
    """
    if len(real) < MIN_TEST_SAMPLES:
        raise UserError(
            f"there are {len(real)} test samples, but generation needs at least {MIN_TEST_SAMPLES}."
        )
    count = min(MAX_SAMPLES, len(real) // 2)
    order = np.random.default_rng(seed).permutation(len(real))
    held_out, reference = real[order[:count]], real[order[count:]]
    drawn = {
        name: sampler.sample(count, seed)
        for name, sampler in fit_samplers(network, codes, seed).items()
    }
    samples = {"real": held_out, "reconstructions": batched(network, network, held_out)}
    samples |= {name: decode(network, z) for name, z in drawn.items()}
    all_codes = {"real": encode_scaled(network, held_out)} | drawn
    distances = code_distances(all_codes, subsample(codes))
    by_class = _generate_by_class(network, codes, label, seed)
    agreement = class_agreement(by_class, classifier) if classifier and by_class else None
    table = _frechet_table(samples, reference, classifier)
    summary = summarise_distances(distances)
    return Generated(samples, by_class, distances, table, summary, agreement)


def _frechet_table(
    samples: dict[str, np.ndarray], reference: np.ndarray, classifier: RealClassifier | None
) -> pd.DataFrame:
    """Return the Frechet distance of each source's samples (n, *S) to reference samples (N, *S)."""

    def features(x: np.ndarray) -> np.ndarray:
        return extract_features(classifier, x) if classifier else x.reshape(len(x), -1)

    reference_features = features(reference)
    rows = [
        (source, len(x), frechet_distance(features(x), reference_features))
        for source, x in samples.items()
    ]
    return pd.DataFrame(rows, columns=["source", "samples", "frechet_distance"])


def _generate_by_class(
    network: Network, codes: np.ndarray, label: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Generate samples per class, about MAX_SAMPLES in total; return {} for a single class."""
    classes = len(np.unique(label))
    if classes < 2:
        return {}
    drawn = sample_classes(codes, label, max(1, MAX_SAMPLES // classes), seed)
    return {name: decode(network, z) for name, z in drawn.items()}


def sample_classes(
    codes: np.ndarray, label: np.ndarray, count: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Draw `count` codes per class: (n, latent_dim), (n,) -> (count, latent_dim) each.

    A separate mixture is fitted to each class. A class with a single code is omitted.
    """
    names, sizes = np.unique(label, return_counts=True)
    return {
        str(name): Mixture.fit(subsample(codes[label == name], MAX_CLASS_CODES), seed).sample(
            count, seed + index
        )
        for index, (name, size) in enumerate(zip(names, sizes, strict=True))
        if size > 1
    }


def class_agreement(samples: dict[str, np.ndarray], classifier: RealClassifier) -> pd.DataFrame:
    """Return the share of each class's samples (N, C, H, W) that are classified as that class.

    The last row, `all`, is the share over all samples.
    """
    correct = {name: predict_classes(classifier, x) == name for name, x in samples.items()}
    rows = [*correct.items(), ("all", np.concatenate([*correct.values()]))]
    return pd.DataFrame(
        [(name, len(hits), float(hits.mean())) for name, hits in rows],
        columns=["class", "samples", "class_agreement"],
    )
