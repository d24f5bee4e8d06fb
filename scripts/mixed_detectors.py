"""Detectors for scripts/mixed_tables.py: the estimator, and baselines on one-hot tables."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

# Normal rows to fit, rows to score and the seed, to the scores.
Method = Callable[[pd.DataFrame, pd.DataFrame, int], np.ndarray]


def hourglass(train: pd.DataFrame, test: pd.DataFrame, seed: int, **settings: Any) -> np.ndarray:
    from hourglass import Autoencoder

    scores: np.ndarray = Autoencoder(random_state=seed, **settings).fit(train).anomaly_score(test)
    # A row without any value has no score, and must not count for or against a detector.
    return np.nan_to_num(scores, nan=float(np.nanmedian(scores)))


def hourglass_imputed(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    numbers = [name for name in train if is_numeric_dtype(train[name])]
    values = {
        name: train[name].mean() if name in numbers else train[name].mode().get(0, "")
        for name in train
    }
    return hourglass(train.fillna(values), test.fillna(values), seed)


def one_hot(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    numbers = [name for name in train if is_numeric_dtype(train[name])]
    encoder = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            (
                "categories",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                ),
                [name for name in train if name not in numbers],
            ),
        ]
    )
    return encoder.fit_transform(train), encoder.transform(test)


def one_hot_pca(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    known, new = one_hot(train, test)
    model = PCA(0.9).fit(known)
    errors: np.ndarray = np.square(new - model.inverse_transform(model.transform(new))).mean(1)
    return errors


def one_hot_knn(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    known, new = one_hot(train, test)
    distances: np.ndarray = NearestNeighbors(n_neighbors=5).fit(known).kneighbors(new)[0].mean(1)
    return distances


def one_hot_isolation_forest(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    known, new = one_hot(train, test)
    scores: np.ndarray = -IsolationForest(random_state=seed).fit(known).score_samples(new)
    return scores


def marginal_frequencies(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the sum of -log frequencies of the values, numbers in ten bins of equal frequency."""
    scores = np.zeros(len(test))
    for name in train:
        known, new = train[name], test[name]
        if is_numeric_dtype(known):
            bounds = np.unique(known.quantile(np.linspace(0, 1, 11)[1:-1]).dropna())
            known, new = (
                pd.Series(np.digitize(x, bounds)).where(~x.isna().to_numpy()) for x in (known, new)
            )
        known, new = (x.astype(object).where(x.notna(), "missing") for x in (known, new))
        counts = known.value_counts()
        frequencies = (new.map(counts).fillna(0).to_numpy(float) + 1) / (
            len(known) + len(counts) + 1
        )
        scores -= np.log(frequencies)
    return scores


BASELINES: dict[str, Method] = {
    f.__name__: f
    for f in (one_hot_pca, one_hot_knn, one_hot_isolation_forest, marginal_frequencies)
}
METHODS: dict[str, Method] = {"hourglass": hourglass, **BASELINES}


def find_method(name: str) -> Method:
    """Return a detector by its name, or that of a variant after "hourglass:"."""
    prefix, _, variant = name.partition(":")
    if prefix == "hourglass" and variant:
        return partial(hourglass, variant=variant)
    return (METHODS | {"hourglass_imputed": hourglass_imputed})[name]
