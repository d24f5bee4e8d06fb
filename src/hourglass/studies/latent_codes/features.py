"""Analysis `features`: accuracy and query time of classifiers on codes, PCA and the input."""

import time

import numpy as np
import pandas as pd
from scipy.stats import mode
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from hourglass.studies.classification.labelled_splits import LabelledSamples, LabelledSplits
from hourglass.studies.classification.sklearn_classifiers import (
    NEIGHBOURS,
    classification_error,
    fit_classifier,
)
from hourglass.studies.latent_space import LatentSpace, flatten_splits
from hourglass.studies.results import StudyResult

MAX_LINEAR_SAMPLES = 10_000  # to which the linear classifier is fitted
MAX_PCA_SIZE = 256  # larger codes are not compared with PCA
SEARCH_NEIGHBOURS = 10
SINGLE_QUERIES = 30  # timed one by one
BATCHED_QUERIES = 500  # timed together
MAX_TREE_DIMENSIONS = 32  # above this, a k-d tree is not faster than brute force


def analyse_features(space: LatentSpace, input_quality: dict[str, float]) -> StudyResult:
    """Compare codes, as features, with PCA of the same size and with the input.

    `input_quality` is the `feature_quality` of the input, measured once per data set. Query times
    of all three are measured here, in the same process, so that they are comparable.
    """
    flat, size = flatten_splits(space.samples, space.scaling), space.codes.train.x.shape[1]
    features = {"code": space.codes}
    if size <= min(MAX_PCA_SIZE, *flat.train.x.shape):
        features["pca"] = principal_components(flat, size)
    qualities = {name: feature_quality(splits) for name, splits in features.items()}
    features["input"], qualities["input"] = flat, input_quality
    rows, timing = [], {}
    for name, splits in features.items():
        rows.append({"features": name, "size": splits.train.x.shape[1], **qualities[name]})
        single, batched = query_milliseconds(splits.train.x, splits.test.x)
        timing[f"query_milliseconds_{name}_single"] = single
        timing[f"query_milliseconds_{name}_batched"] = batched
    return StudyResult(qualities["code"], {"features": pd.DataFrame(rows)}, timing=timing)


def feature_quality(splits: LabelledSplits) -> dict[str, float]:
    """Return `neighbour_quality` and the accuracy of logistic regression, for features (N, D)."""
    train = splits.train.first(MAX_LINEAR_SAMPLES)
    classifier = fit_classifier("logistic", train, splits.validation)
    accuracy = 1 - classification_error(classifier, splits.test)
    return {**neighbour_quality(splits.train, splits.test), "linear_accuracy": accuracy}


def principal_components(flat: LabelledSplits, size: int) -> LabelledSplits:
    """Return the first principal components, fitted to `train`: (N, D) -> (N, size) float32."""
    solver = "covariance_eigh" if flat.train.x.shape[0] >= flat.train.x.shape[1] else "full"
    pca = PCA(size, svd_solver=solver).fit(flat.train.x)
    return flat.map_x(lambda x: pca.transform(x).astype(np.float32))


def neighbour_quality(train: LabelledSamples, test: LabelledSamples) -> dict[str, float]:
    """Return two metrics of exact Euclidean nearest-neighbour search, for samples (N, D).

    `kNN_accuracy` is the accuracy of the majority vote of the 7 nearest training samples.
    `search_precision_at_10` is the mean share of the 10 nearest that have the query's class.
    """
    count = min(SEARCH_NEIGHBOURS, len(train))
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(train.x)
    labels = train.y[index.kneighbors(test.x, return_distance=False)]
    votes = mode(labels[:, :NEIGHBOURS], axis=1).mode  # ties: the smallest class index
    return {
        "kNN_accuracy": float(np.mean(votes == test.y)),
        "search_precision_at_10": float(np.mean(labels == test.y[:, None])),
    }


def query_milliseconds(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """Return two times per query of the 10 nearest samples, in ms, from `train` for `test`.

    The first is the median of separate queries, the second the mean of a batch of queries. Both are
    those of the faster exact algorithm, brute force or a k-d tree.
    """
    count = min(SEARCH_NEIGHBOURS, len(train))

    def milliseconds(queries: np.ndarray) -> float:
        start = time.perf_counter()
        index.kneighbors(queries)
        return 1000 * (time.perf_counter() - start)

    times, batch = [], test[:BATCHED_QUERIES]
    for algorithm in ["brute", "kd_tree"] if train.shape[1] <= MAX_TREE_DIMENSIONS else ["brute"]:
        index = NearestNeighbors(n_neighbors=count, algorithm=algorithm).fit(train)
        index.kneighbors(test[:1])  # the first query of a process also sets up its threads
        singles = [milliseconds(query[None]) for query in test[:SINGLE_QUERIES]]
        times.append((float(np.median(singles)), milliseconds(batch) / len(batch)))
    single, batched = zip(*times, strict=True)
    return min(single), min(batched)
