"""Baseline detectors from scikit-learn: PCA, isolation forest, SVM, neighbours, Mahalanobis."""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

from hourglass.core.errors import UserError
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import TiledScaling, filled_inputs
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import calibrate
from hourglass.detection.folds import FoldScores, split_needs_folds
from hourglass.evaluation import metrics
from hourglass.evaluation.metrics.series import SeriesRows, series_metrics
from hourglass.evaluation.shrunk_covariance import ShrunkCovariance

# A function: samples, such as vectors, (N, F) float32 -> scores, (N,) float64.
ScoreFunction = Callable[[np.ndarray], np.ndarray]

MAX_SVM_SAMPLES = 5000  # the training time is quadratic
MAX_NEIGHBORS_SAMPLES = 50_000  # each scored sample is compared with all of them
# The time of an exact decomposition is cubic in the smaller of samples and features.
MAX_DECOMPOSED = 2000


def pca(train: np.ndarray, latent_dim: int) -> ScoreFunction:
    """Score by the mean squared error of the reconstruction from `latent_dim` components.

    No linear autoencoder with this latent_dim has a lower training error. Raises a UserError if
    latent_dim is above the number of samples or of features.
    """
    if latent_dim > min(train.shape):
        raise UserError(
            f"latent_dim is {latent_dim}, but PCA has only {min(train.shape)} components; "
            "choose at most that many."
        )
    # All three are exact; the randomised solver would depend on its seed.
    solver = "covariance_eigh" if train.shape[0] >= train.shape[1] else "full"
    if latent_dim < MAX_DECOMPOSED < min(train.shape):
        solver = "arpack"  # computes latent_dim components only
    model = PCA(latent_dim, svd_solver=solver, random_state=0).fit(train)

    def score(x: np.ndarray) -> np.ndarray:
        error = model.inverse_transform(model.transform(x)) - x
        return np.square(error, dtype=np.float64).mean(1)

    return score


def pca_of_inputs(train: np.ndarray, latent_dim: int) -> ScoreFunction:
    """Return `pca` of vectors, (N, F), or of flattened windows, (n, W, F)."""
    score = pca(train.reshape(len(train), -1), latent_dim)
    return lambda x: score(x.reshape(len(x), -1))


def isolation_forest(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the number of random splits that isolate a sample; few splits give a high score.

    The forest has 100 trees (Liu et al. 2008).
    """
    forest = IsolationForest(random_state=seed).fit(train)
    return lambda x: -forest.score_samples(x)


def one_class_svm(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the distance from a boundary around 90 % of the samples (Schoelkopf et al. 2001).

    The SVM is trained on at most MAX_SVM_SAMPLES random samples.
    """
    svm = OneClassSVM(nu=0.1, gamma="scale").fit(_subset(train, MAX_SVM_SAMPLES, seed))
    # Kernel values are at most 1, so the sum bounds the SVM's output, and scores are positive.
    bound = float(np.abs(svm.dual_coef_).sum())
    return lambda x: bound - svm.score_samples(x)


def neighbors(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the mean distance to the 5 nearest of at most MAX_NEIGHBORS_SAMPLES random samples.

    Up to that number, all training samples are used.
    """
    if len(train) > MAX_NEIGHBORS_SAMPLES:
        train = _subset(train, MAX_NEIGHBORS_SAMPLES, seed)
    model = NearestNeighbors(n_neighbors=min(5, len(train))).fit(train)
    return lambda x: model.kneighbors(x)[0].mean(1, dtype=np.float64)


def mahalanobis(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the Mahalanobis distance from the mean, with shrunk covariance (Ledoit-Wolf).

    With more than MAX_DECOMPOSED features, at most that many random samples are used.
    """
    if train.shape[1] > MAX_DECOMPOSED:
        train = _subset(train, MAX_DECOMPOSED, seed)
    covariance = ShrunkCovariance.fit(train)
    return lambda x: np.sqrt(covariance.squared_distances(x))


def _subset(train: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return at most `count` random training samples, in random order."""
    return train[np.random.default_rng(seed).permutation(len(train))[:count]]


BASELINES: dict[str, Callable[[np.ndarray, int], ScoreFunction]] = {
    fit.__name__: fit for fit in (isolation_forest, one_class_svm, neighbors, mahalanobis)
}


def scaled_vectors(prepared: Prepared, x: np.ndarray) -> np.ndarray:
    """Scale and flatten unscaled samples: (N, *S) -> (N, F) float32, 0 in missing cells."""
    return filled_inputs(prepared.scaling, np.asarray(x)).reshape(len(x), -1)


def on_inputs(fit: Callable[[np.ndarray], ScoreFunction], prepared: Prepared) -> ScoreFunction:
    """Fit a baseline to the train split; return its function from unscaled samples to scores.

    `fit` takes vectors, (N, F), of samples or of tiles, or the windows of a series, (n, W, F).
    """
    scaling, train = prepared.scaling, prepared.x("train")
    if isinstance(scaling, SeriesEncoding):
        from hourglass.evaluation.window_baselines import score_rows, train_windows

        score = fit(train_windows(scaling, train))
        return lambda x: score_rows(score, scaling, x)
    if isinstance(scaling, TiledScaling):
        from hourglass.evaluation.tile_baselines import score_images, train_tiles

        tiles = train_tiles(scaling, train)
        score = fit(tiles.reshape(len(tiles), -1))
        return lambda x: score_images(score, scaling, x)
    score = fit(scaled_vectors(prepared, train))
    return lambda x: score(scaled_vectors(prepared, x))


def evaluate_baseline(
    prepared: Prepared, fit: Callable[[Prepared], ScoreFunction], calibrator: Calibrator
) -> dict[str, Any]:
    """Fit and calibrate a baseline; return its threshold and its metrics on the test split.

    `fit` returns the function from unscaled samples to scores. It is used again on folds if the
    calibration split is too small for the calibrator.
    """
    score = fit(prepared)
    scores = cache(lambda name: score(prepared.x(name)))
    folds = FoldScores(prepared, fit, seed=0) if split_needs_folds(calibrator, prepared) else None
    threshold = calibrate(calibrator, prepared, scores, folds)
    test = prepared.split("test")
    values = metrics.detection(scores("test"), test.anomaly)
    values |= metrics.at_threshold(scores("test"), test.anomaly, threshold)
    if isinstance(prepared.scaling, SeriesEncoding):
        tuning = prepared.split("tuning")
        rows = SeriesRows(test.x, scores("test"), test.anomaly)
        others = SeriesRows(tuning.x, scores("tuning"), tuning.anomaly)
        values |= series_metrics(rows, others, prepared.scaling, threshold)
    return {"threshold": asdict(threshold), "metrics": values}
