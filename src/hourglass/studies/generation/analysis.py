"""Analysis `generation`: images decoded from random codes, compared with real test images."""

import numpy as np
import pandas as pd

from hourglass.detection.inference import batched
from hourglass.evaluation.figures import generation as figures
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.generation.distances import (
    code_distances,
    frechet_distance,
    summarise_distances,
)
from hourglass.studies.generation.samplers import Mixture, fit_samplers, subsample
from hourglass.studies.latent_space import LatentSpace, encode_scaled
from hourglass.studies.results import StudyResult

MAX_SAMPLES = 2_000  # generated per sampler, and for all classes together
MIN_FRECHET_SAMPLES = 1_000  # with fewer, the Frechet distance is mostly noise
MAX_CLASS_CODES = 2_500  # to which the mixture of a class is fitted


def analyse_generation(space: LatentSpace, classifier: RealClassifier | None) -> StudyResult:
    """Draw codes from several samplers, decode them, and compare the results with test images.

    The test images are split into the source `real` and the reference. All sources are compared
    with the reference; the result of `real` is the best that a sampler can be expected to reach.
    The tables are:

    - frechet_distances: per sampler, for `real`, and for its reconstructions
    - code_distances: quantiles of the distance from a code to the nearest training code
    - class_agreement: see `generate_classes`; only with a classifier

    `classifier` is None for a single class. The Frechet distance then compares the samples
    themselves instead of the classifier's features. The metric `frechet_distance` is the lowest of
    all samplers. With fewer than MIN_FRECHET_SAMPLES samples only the table has the distances: a
    sampler that avoids rare samples may then score better than real samples.
    """
    network, codes, seed = space.network, space.codes.train.x, space.seed
    x = space.scaling(space.samples.test.x)
    count = min(MAX_SAMPLES, len(x) // 2)
    order = np.random.default_rng(seed).permutation(len(x))
    real, reference = x[order[:count]], x[order[count:]]
    samplers = fit_samplers(network, codes, seed)
    drawn = {name: sampler(count, seed) for name, sampler in samplers.items()}
    samples = {"real": real, "reconstructions": batched(network, network, real)}
    samples |= {name: space.decode(z) for name, z in drawn.items()}
    frechet = _frechet_table(samples, reference, classifier)
    distances = code_distances({"real": encode_scaled(network, real)} | drawn, subsample(codes))
    summary = summarise_distances(distances)

    by_source: dict[str, float] = {}
    if count >= MIN_FRECHET_SAMPLES:
        by_source = dict(zip(frechet.source, frechet.frechet_distance, strict=True))
    metrics = {f"frechet_distance_{name}": value for name, value in by_source.items()}
    if by_source:
        metrics["frechet_distance"] = min(by_source[name] for name in drawn)
    result = StudyResult(
        metrics,
        {"frechet_distances": frechet, "code_distances": summary},
        {
            "generated": figures.sources(samples, by_source),
            "code_distances": figures.code_distances(distances, float(summary.q99[0])),
        },
    )
    return result | generate_classes(space, classifier) if classifier else result


def _frechet_table(
    samples: dict[str, np.ndarray], reference: np.ndarray, classifier: RealClassifier | None
) -> pd.DataFrame:
    """Return the Frechet distance of each source's samples (n, *S) to reference samples (N, *S)."""

    def features(x: np.ndarray) -> np.ndarray:
        return classifier.features(x) if classifier else x.reshape(len(x), -1)

    reference_features = features(reference)
    rows = [
        (source, len(x), frechet_distance(features(x), reference_features))
        for source, x in samples.items()
    ]
    return pd.DataFrame(rows, columns=["source", "samples", "frechet_distance"])


def generate_classes(space: LatentSpace, classifier: RealClassifier) -> StudyResult:
    """Generate images of each class, about MAX_SAMPLES in total, and classify them.

    The table `class_agreement` has the share of the images generated for a class that the
    classifier assigns to it. The last row, `all`, and the metric are the share over all images.
    """
    samples = {name: space.decode(z) for name, z in sample_classes(space).items()}
    if not samples:
        return StudyResult()
    names = np.array(classifier.class_names)
    correct = {name: names[classifier.predict(x)] == name for name, x in samples.items()}
    rows = [*correct.items(), ("all", np.concatenate([*correct.values()]))]
    table = pd.DataFrame(
        [(name, len(hits), float(hits.mean())) for name, hits in rows],
        columns=["class", "samples", "class_agreement"],
    )
    return StudyResult(
        {"class_agreement": float(table.class_agreement.iloc[-1])},
        {"class_agreement": table},
        {"generated_classes": figures.samples_by_class(samples, table)},
    )


def sample_classes(space: LatentSpace) -> dict[str, np.ndarray]:
    """Draw codes of each class from a mixture fitted to its training codes: (n, latent_dim) each.

    A class with a single code is omitted.
    """
    codes, count = space.codes.train, MAX_SAMPLES // len(space.classes)
    samples = {}
    for index, name in enumerate(space.classes):
        members = codes.x[codes.y == index]
        if len(members) > 1:
            mixture = Mixture.fit(subsample(members, MAX_CLASS_CODES), space.seed)
            samples[name] = mixture(max(1, count), space.seed + index)
    return samples
