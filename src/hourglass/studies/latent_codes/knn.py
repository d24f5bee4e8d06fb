"""How well nearest neighbours in some representation tell the classes, and how fast."""

import time

import numpy as np
from scipy.stats import mode
from sklearn.neighbors import NearestNeighbors

from hourglass.studies.classification.labelled_subsets import Labelled
from hourglass.studies.classification.shallow import NEIGHBOURS

TOP = 10  # neighbours that `search_precision_at_10` looks at
SINGLE = 30  # queries that are timed one by one
BATCH = 500  # queries that are timed together
TREE = 32  # dimensions up to which a tree may be faster than all distances


def neighbour_quality(train: Labelled, test: Labelled) -> dict[str, float]:
    """Return `kNN_accuracy` and `search_precision_at_10` of flat samples, (N, D).

    The former is the share of test samples whose class their 7 nearest training samples vote for,
    the latter the share of the 10 nearest that are of the query's class, on average: what a search
    finds. Distances are Euclidean, neighbours exact.
    """
    count = min(TOP, len(train))
    found = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(train.x)
    labels = train.y[found.kneighbors(test.x, return_distance=False)]
    votes = mode(labels[:, :NEIGHBOURS], axis=1).mode  # the first class of equals
    return {
        "kNN_accuracy": float(np.mean(votes == test.y)),
        "search_precision_at_10": float(np.mean(labels == test.y[:, None])),
    }


def milliseconds(train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Return how long a query takes that is asked `single` (the median), or `batched` with others.

    It is for the 10 nearest, by the faster of two exact ways: all distances, or a k-d tree.
    """
    ways = ["brute", "kd_tree"] if train.shape[1] <= TREE else ["brute"]
    found = []
    for way in ways:
        finder = NearestNeighbors(n_neighbors=min(TOP, len(train)), algorithm=way).fit(train)
        finder.kneighbors(test[:1])  # the first query of a process finds its threads
        singles = [_seconds(finder, test[i : i + 1]) for i in range(min(SINGLE, len(test)))]
        batch = test[:BATCH]
        found.append((float(np.median(singles)), _seconds(finder, batch) / len(batch)))
    single, batched = np.min(found, axis=0) * 1000
    return {"single": float(single), "batched": float(batched)}


def _seconds(finder: NearestNeighbors, queries: np.ndarray) -> float:
    start = time.perf_counter()
    finder.kneighbors(queries)
    return time.perf_counter() - start
