"""The code as a feature: classes by neighbours and by a linear classifier, against the input."""

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from hourglass.studies.classification import shallow
from hourglass.studies.classification.features import flat as flattened
from hourglass.studies.classification.labelled_subsets import Labelled, Parts
from hourglass.studies.latent_codes.knn import milliseconds, neighbour_quality
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult

LINEAR = 10_000  # labels that the linear classifier learns from, at most
MOST = 256  # units of a code, at most, that PCA is compared with


def features(space: LatentSpace, of_input: dict[str, float]) -> StudyResult:
    """Measure neighbours and a linear classifier on the code, on PCA and on the input itself.

    `of_input` is the `quality` of the input, which is the same for all networks of a data set; how
    long a query takes is measured here for all of them, in one run.
    """
    flat, size = flattened(None, space.scaling, space.samples), space.network.latent_dim
    parts = {"code": space.codes, "pca": flat, "input": flat}
    if size <= min(MOST, *flat.train.x.shape):
        parts["pca"] = projected(flat, size)
    else:
        del parts["pca"]
    found = {each: of_input if each == "input" else quality(parts[each]) for each in parts}
    times = {each: milliseconds(parts[each].train.x, parts[each].test.x) for each in parts}
    rows = [
        {"features": each, "size": parts[each].train.x.shape[1], **found[each]} for each in parts
    ]
    timing = {
        f"query_milliseconds_{each}_{how}": value
        for each in parts
        for how, value in times[each].items()
    }
    return StudyResult(found["code"], {"features": pd.DataFrame(rows)}, timing=timing)


def quality(parts: Parts) -> dict[str, float]:
    """Return what neighbours and a linear classifier make of flat samples, (N, D), of parts."""
    train, test = parts.train, parts.test
    classifier = shallow.fitted("logistic", train.first(LINEAR), parts.validation)
    linear = 1 - shallow.error(classifier, test)
    return {**neighbour_quality(train, test), "linear_accuracy": linear}


def projected(flat: Parts, size: int) -> Parts:
    """Return the first principal components of flat samples, fitted on `train`."""
    solver = "covariance_eigh" if flat.train.x.shape[0] >= flat.train.x.shape[1] else "full"
    found = PCA(size, svd_solver=solver).fit(flat.train.x)

    def components(part: Labelled) -> Labelled:
        return Labelled(found.transform(part.x).astype(np.float32), part.y)

    return Parts(components(flat.train), components(flat.validation), components(flat.test))
