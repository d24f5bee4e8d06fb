"""What an autoencoder must beat to be worth its training: scikit-learn's detectors."""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

from hourglass.core.errors import UserError
from hourglass.data.prepared import Prepared
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import calibrate
from hourglass.evaluation import metrics

# Of scaled samples, flattened, (N, F) float32, to scores, (N,) float64.
Score = Callable[[np.ndarray], np.ndarray]

SVM_SAMPLES = 5000  # its training takes time with their square


def pca(train: np.ndarray, latent_dim: int) -> Score:
    """Score by the mean squared error of the reconstruction from principal components.

    It is the optimum of every linear autoencoder with a code of that size. Raises a UserError where
    there are not so many components.
    """
    if latent_dim > min(train.shape):
        raise UserError(f"latent_dim is {latent_dim}, but PCA has {min(train.shape)} components.")
    # The full solvers are exact; the randomised one would need a seed and more care.
    solver = "covariance_eigh" if train.shape[0] >= train.shape[1] else "full"
    found = PCA(latent_dim, svd_solver=solver).fit(train)

    def score(x: np.ndarray) -> np.ndarray:
        error = found.inverse_transform(found.transform(x)) - x
        return np.square(error, dtype=np.float64).mean(1)

    return score


def isolation_forest(train: np.ndarray, seed: int) -> Score:
    """Score by how few random cuts set a sample apart (Liu et al. 2008), in 100 trees."""
    forest = IsolationForest(random_state=seed).fit(train)
    return lambda x: -forest.score_samples(x)


def one_class_svm(train: np.ndarray, seed: int) -> Score:
    """Score by the distance from a boundary around 90 % of the samples (Schoelkopf et al. 2001).

    A random 5,000 of more samples are taken.
    """
    chosen = np.random.default_rng(seed).permutation(len(train))[:SVM_SAMPLES]
    machine = OneClassSVM(nu=0.1, gamma="scale").fit(train[chosen])
    largest = float(np.abs(machine.dual_coef_).sum())  # of the kernel's sums, each at most 1
    return lambda x: largest - machine.score_samples(x)


def neighbors(train: np.ndarray, seed: int) -> Score:
    """Score by the mean distance to the 5 nearest training samples."""
    found = NearestNeighbors(n_neighbors=min(5, len(train))).fit(train)
    return lambda x: found.kneighbors(x)[0].mean(1, dtype=np.float64)


def mahalanobis(train: np.ndarray, seed: int) -> Score:
    """Score by the distance from the mean in the samples' own spread, shrunk (Ledoit-Wolf)."""
    found = LedoitWolf().fit(train)
    return lambda x: np.sqrt(np.maximum(found.mahalanobis(x), 0)).astype(np.float64)


BASELINES: dict[str, Callable[[np.ndarray, int], Score]] = {
    each.__name__: each for each in (isolation_forest, one_class_svm, neighbors, mahalanobis)
}


def flat(prepared: Prepared, x: np.ndarray) -> np.ndarray:
    """Return scaled samples as vectors: (N, *S) -> (N, F) float32."""
    return prepared.scaling(np.asarray(x)).reshape(len(x), -1)


def measured(prepared: Prepared, score: Score, calibrator: Calibrator) -> dict[str, Any]:
    """Return threshold and test metrics of a detector that is no network."""
    scores = cache(lambda name: score(flat(prepared, prepared.split(name).x)))
    threshold = calibrate(calibrator, prepared, scores)
    test = prepared.split("test")
    found = metrics.detection(scores("test"), test.anomaly)
    found |= metrics.at_threshold(scores("test"), test.anomaly, threshold)
    return {"threshold": asdict(threshold), "metrics": found}
