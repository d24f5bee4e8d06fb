"""What can be made up: samples of codes, decoded, and how near to real samples they are."""

import numpy as np

from hourglass.evaluation.figures import generation as drawn
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.generation.generate import generate
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult


def generated(space: LatentSpace, classifier: RealClassifier | None) -> StudyResult:
    """Sample codes in several ways, decode them, and compare what comes with real test images.

    The tables have the Frechet distance of each sampler, with those of reconstructions and of real
    samples beside it, how far its codes are from those of training samples, and for each class how
    often a classifier of real images agrees that a sample made for it is of it. `frechet_distance`
    is that of the best sampler.
    """
    codes, real = space.codes.train, space.scaling(np.asarray(space.samples.test.x))
    label = np.array(space.classes)[codes.y]
    found = generate(space.network, codes.x, label, real, classifier, space.seed)
    distances = dict(zip(found.frechet.source, found.frechet.frechet_distance, strict=True))
    metrics = {f"frechet_distance_{name}": float(each) for name, each in distances.items()}
    samplers = distances.keys() - {"real", "reconstructions"}
    metrics["frechet_distance"] = float(min(distances[name] for name in samplers))
    tables = {"frechet_distances": found.frechet, "code_distances": found.code_distance}
    limit = found.code_distance.set_index("source").q99["real"]
    figures = {
        "generated": drawn.sources(found.samples, found.frechet),
        "code_distances": drawn.code_distances(found.distances, float(limit)),
    }
    if found.by_class:
        figures["generated_classes"] = drawn.by_class(found.by_class, found.agreement)
    if found.agreement is not None:
        tables["class_agreement"] = found.agreement
        metrics["class_agreement"] = float(found.agreement.class_agreement.iloc[-1])
    return StudyResult(metrics, tables, figures)
