"""Analysis `map`: two-dimensional embeddings of codes by PCA and t-SNE."""

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from hourglass.evaluation.figures import maps
from hourglass.studies.latent_space import LatentSpace, evenly_spaced
from hourglass.studies.results import StudyResult

MAX_NORMAL, MAX_ANOMALOUS = 2000, 500  # codes on the map
MAX_TSNE_INPUTS = 50  # wider codes are first reduced to this number of principal components
METHODS = {"pca": "principal components", "tsne": "neighbour embedding (t-SNE)"}


def analyse_map(space: LatentSpace) -> StudyResult:
    """Embed codes of the test split in two dimensions and plot them.

    PCA is fitted to the normal codes only; t-SNE (van der Maaten and Hinton 2008) embeds normal and
    anomalous codes together. The table has one row per code: kind, label and coordinates.
    """
    test = space.codes.test
    normal = evenly_spaced(len(test), MAX_NORMAL)
    anomalous = evenly_spaced(len(space.anomaly_codes), MAX_ANOMALOUS)
    codes = np.concatenate([test.x[normal], space.anomaly_codes[anomalous]])
    names = np.array([*space.classes, "other"])  # index -1: a class without training samples
    table = pd.DataFrame(
        {
            "kind": np.repeat(["normal", "anomalous"], [len(normal), len(anomalous)]),
            "label": np.concatenate([names[test.y[normal]], space.anomaly_labels[anomalous]]),
        }
    )
    table["pca_1"], table["pca_2"] = _pca(codes, len(normal)).T
    table["tsne_1"], table["tsne_2"] = _tsne(codes, space.seed).T
    figures = {"map": maps.overview(table, METHODS, space.classes)}
    if space.labelled:
        figures["map_classes"] = maps.per_class(table, "tsne", space.classes)
    if space.is_image:
        images = space.scaling(space.samples.test.x[normal])
        figures["map_thumbnails"] = maps.thumbnails(table.iloc[: len(normal)], "tsne", images)
    return StudyResult(tables={"map": table}, figures=figures)


def _pca(codes: np.ndarray, normal: int) -> np.ndarray:
    """Return the first two principal components, fitted to the first `normal` codes: (N, 2).

    The second coordinate is 0 for codes of a single unit.
    """
    if codes.shape[1] < 2:
        return np.column_stack([codes[:, 0], np.zeros(len(codes))])
    return np.asarray(PCA(2, svd_solver="full").fit(codes[:normal]).transform(codes))


def _tsne(codes: np.ndarray, seed: int) -> np.ndarray:
    """Return the t-SNE embedding, (N, 2); zeros if all codes are equal."""
    if not np.ptp(codes, axis=0).any():
        return np.zeros((len(codes), 2))  # scikit-learn would divide by 0, and then crash
    if codes.shape[1] > MAX_TSNE_INPUTS:
        codes = PCA(min(MAX_TSNE_INPUTS, len(codes)), svd_solver="full").fit_transform(codes)
    perplexity = min(30, (len(codes) - 1) / 3)
    start = "pca" if codes.shape[1] > 1 else "random"
    embedding = TSNE(init=start, perplexity=perplexity, random_state=seed, n_jobs=-1)
    return np.asarray(embedding.fit_transform(codes))
