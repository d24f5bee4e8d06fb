"""What the neighbourhoods of a representation know of classes, and how fast they are found."""

import time

import numpy as np
from scipy.stats import mode
from sklearn.neighbors import NearestNeighbors

from hourglass.errors import Refusal

ALONE = 50  # queries that are timed one by one


def neighbour_quality(
    train: np.ndarray,
    train_y: np.ndarray,
    test: np.ndarray,
    test_y: np.ndarray,
    top: int = 10,
    k: int = 7,
) -> dict[str, float]:
    """Return how well the nearest training samples tell a test sample's class.

    Representations are (n, F) and (m, F) float32, classes (n,) and (m,). `kNN_accuracy` is that of
    a vote of the `k` nearest, ties to the smallest class, as scikit-learn has it;
    `precision_at_10`, or whatever `top` is, the share of the `top` nearest that have the query's
    class, the mean over queries. `milliseconds_in_batch` is the time of a query among all of them,
    `milliseconds_alone` the median of single ones, both by exact search. Raises a Refusal where
    there are not so many training samples as `top` or `k`.
    """
    for name, value in (("top", top), ("k", k)):
        if not 1 <= value <= len(train):
            raise Refusal(f"{name} is {value}, but must be between 1 and {len(train)} samples.")
    nearest = NearestNeighbors(n_neighbors=max(top, k), algorithm="brute").fit(train)
    nearest.kneighbors(test[:1])  # the first query of a process finds its threads
    start = time.perf_counter()
    places = nearest.kneighbors(test, return_distance=False)
    seconds = time.perf_counter() - start
    classes, numbers = np.unique(train_y, return_inverse=True)
    voted = classes[mode(numbers[places[:, :k]], axis=1).mode]
    same = train_y[places[:, :top]] == test_y[:, None]
    return {
        "kNN_accuracy": float((voted == test_y).mean()),
        f"precision_at_{top}": float(same.mean()),
        "milliseconds_in_batch": 1000 * seconds / len(test),
        "milliseconds_alone": 1000 * _alone(nearest, test),
    }


def _alone(nearest: NearestNeighbors, test: np.ndarray) -> float:
    """Return the median seconds of single queries from everywhere in the test samples."""
    seconds = []
    for i in range(0, len(test), -(-len(test) // ALONE)):
        start = time.perf_counter()
        nearest.kneighbors(test[i : i + 1])
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
