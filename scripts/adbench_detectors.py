"""Detectors for scripts/adbench.py: the estimator, scikit-learn's and PyOD's."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from hourglass import Autoencoder
    from hourglass.data.prepared_data import Split

ALPHA = 0.2  # without effect on scores; smaller ones need networks of folds on the smallest tables
# Normal rows to fit, rows to score and the seed, to the scores, (n,), or of parts, (parts, n).
Method = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def hourglass(train: np.ndarray, test: np.ndarray, seed: int, **settings: Any) -> np.ndarray:
    from hourglass import Autoencoder

    model = Autoencoder(random_state=seed, alpha=ALPHA, **settings).fit(train)
    scores: np.ndarray = model.anomaly_score(test)
    return scores


def hourglass_members(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Return the scores of each member of the ensemble, by the scorer of the ensemble."""
    from hourglass import Autoencoder
    from hourglass.detection.scoring import FittedScorer
    from hourglass.networks.ensemble import Ensemble

    model = Autoencoder(random_state=seed, alpha=ALPHA).fit(train)
    scoring = model.detector_.scoring
    fitted = fitting_splits(model, train, seed)
    scores, network = [], scoring.network
    assert network.heads
    count, weights = network.init_args["members"], network.state_dict()
    for i in range(count):
        member = Ensemble(network.sample_shape, network.code_shape[0] // count, members=1)
        member.load_state_dict({key: weight[i : i + 1] for key, weight in weights.items()})
        member.add_heads(network.heads.columns)
        scorer = FittedScorer.fit(member.eval(), scoring.scaling, scoring.scorer, *fitted)
        scores.append(scorer(test))
    return np.stack(scores)


def fitting_splits(model: "Autoencoder", x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the splits of a fit on `x` that fit a scorer: train and validation."""
    from hourglass.api.samples import divide_samples

    shares: dict[Split, float] = {
        "validation": model.validation_fraction,
        "calibration": model.calibration_fraction,
    }
    divided = divide_samples(x, {}, shares, seed)
    return divided["train"], divided["validation"]


def pca(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    model, x = PCA(0.9).fit(scaler.transform(train)), scaler.transform(test)
    errors: np.ndarray = np.square(x - model.inverse_transform(model.transform(x))).mean(1)
    return errors


def knn(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    neighbors = NearestNeighbors(n_neighbors=5).fit(scaler.transform(train))
    distances: np.ndarray = neighbors.kneighbors(scaler.transform(test))[0].mean(1)
    return distances


def isolation_forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scores: np.ndarray = -IsolationForest(random_state=seed).fit(train).score_samples(test)
    return scores


def pyod(train: np.ndarray, test: np.ndarray, seed: int, *, name: str) -> np.ndarray:
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.ecod import ECOD
    from pyod.models.vae import VAE

    kinds = {
        "autoencoder": partial(AutoEncoder, random_state=seed, verbose=0),
        "vae": partial(VAE, random_state=seed, verbose=0),
        "ecod": ECOD,
    }
    scores: np.ndarray = kinds[name]().fit(train).decision_function(test)
    return scores


METHODS: dict[str, Method] = {
    "hourglass": hourglass,
    "pca": pca,
    "isolation_forest": isolation_forest,
    "knn": knn,
}
OTHERS: dict[str, Method] = {
    "hourglass_members": hourglass_members,
    "hourglass_trim": partial(hourglass, init_args={"trim": 0.05}),
}
PYOD: dict[str, Method] = {
    f"pyod_{name}": partial(pyod, name=name) for name in ("autoencoder", "vae", "ecod")
}


def find_method(name: str) -> Method | None:
    """Return a detector by its name, or that of a variant after "hourglass:"."""
    prefix, _, variant = name.partition(":")
    if prefix == "hourglass" and variant:
        return partial(hourglass, variant=variant)
    return (METHODS | OTHERS | PYOD).get(name)
