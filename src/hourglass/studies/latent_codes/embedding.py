"""The map: codes in two dimensions, by principal components and by a neighbour embedding."""

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from hourglass.evaluation.figures import maps
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult

NORMAL, ANOMALOUS = 2000, 500  # codes of either kind on the map, at most
REDUCED = 50  # principal components that the neighbour embedding sees, at most
METHODS = {"pca": "principal components", "tsne": "neighbour embedding (t-SNE)"}


def latent_map(space: LatentSpace) -> StudyResult:
    """Place codes of the test split in two dimensions and draw them.

    By the two principal components of the normal codes, and by t-SNE (van der Maaten and Hinton
    2008) of normal and anomalous codes together. The table has a row a code: kind, label, and its
    place by either method.
    """
    codes, table, shown = _chosen(space)
    for name, places in (("pca", _components(codes, table)), ("tsne", _neighbours(codes, space))):
        table[f"{name}_1"], table[f"{name}_2"] = places.T
    drawn = {"map": maps.overview(table, METHODS, space.classes)}
    if space.labelled:
        drawn["map_classes"] = maps.per_class(table, "tsne", space.classes)
    if space.is_image:
        images = space.scaling(np.asarray(space.samples.test.x[shown]))
        drawn["map_thumbnails"] = maps.thumbnails(table.iloc[: len(shown)], "tsne", images)
    return StudyResult(tables={"map": table}, figures=drawn)


def _chosen(space: LatentSpace) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Return codes, what they are, and the places of the normal ones, which come first."""
    normal = evenly(len(space.codes.test), NORMAL)
    others = evenly(len(space.anomaly_codes), ANOMALOUS)
    names = np.array([*space.classes, "other"])  # -1: a class that train does not have
    codes = np.concatenate([space.codes.test.x[normal], space.anomaly_codes[others]])
    kinds = np.repeat(["normal", "anomalous"], [len(normal), len(others)])
    labels = np.concatenate([names[space.codes.test.y[normal]], space.anomalies[others]])
    return codes, pd.DataFrame({"kind": kinds, "label": labels}), normal


def evenly(count: int, most: int) -> np.ndarray:
    """Return at most so many of the numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _components(codes: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Return the codes on the two main directions of the normal ones, (N, 2)."""
    normal = codes[(table.kind == "normal").to_numpy()]
    if codes.shape[1] < 2:
        return np.column_stack([codes[:, 0], np.zeros(len(codes))])
    return np.asarray(PCA(2, svd_solver="full").fit(normal).transform(codes))


def _neighbours(codes: np.ndarray, space: LatentSpace) -> np.ndarray:
    """Return t-SNE's places, (N, 2): one and the same where all codes are equal."""
    if not np.ptp(codes, axis=0).any():
        return np.zeros((len(codes), 2))  # scikit-learn would divide by 0, and then crash
    if codes.shape[1] > REDUCED:
        codes = PCA(min(REDUCED, len(codes)), svd_solver="full").fit_transform(codes)
    perplexity = min(30, (len(codes) - 1) / 3)
    start = "pca" if codes.shape[1] > 1 else "random"
    embedding = TSNE(init=start, perplexity=perplexity, random_state=space.seed, n_jobs=-1)
    return np.asarray(embedding.fit_transform(codes))
