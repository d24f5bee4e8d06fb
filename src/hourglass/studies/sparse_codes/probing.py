"""Sparse probing: how well a few units alone tell a class from the others.

Gurnee et al. 2023, "Finding Neurons in a Haystack"; SAEBench (Karvonen et al. 2025).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.utils.class_weight import compute_sample_weight

UNIT_COUNTS = (1, 2, 5)  # as SAEBench


@dataclass(frozen=True)
class Probe:
    """The result of a probe for one class on test samples."""

    units: np.ndarray  # (k,) the units that it uses, the most different first
    accuracy: float  # balanced: the mean of the recall of the class and of the others
    f1: float  # of the class, as if half of the samples were of the class


def mean_differences(codes: csr_matrix, is_class: np.ndarray) -> np.ndarray:
    """Return the mean code of a class minus that of the others, (latent_dim,)."""
    inside, outside = codes[is_class].mean(0), codes[~is_class].mean(0)
    return np.asarray(inside - outside).ravel()


def probe(
    train: csr_matrix,
    is_class: np.ndarray,
    test: csr_matrix,
    is_class_test: np.ndarray,
    units: Sequence[int] | np.ndarray,
) -> Probe:
    """Fit logistic regression to some units of the codes, (n, latent_dim), and test it.

    The codes of a unit are divided by their standard deviation, so that the regularisation, C = 1,
    does not depend on the scale of codes. Class and others have the same weight in the fit and in
    the metrics; SAEBench draws as many samples of the others as of the class.
    """
    units = np.asarray(units)
    dense = train[:, units].toarray()
    scale = np.where(dense.std(0) > 0, dense.std(0), 1)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(dense / scale, is_class)
    predicted = model.predict(test[:, units].toarray() / scale)
    weight = compute_sample_weight("balanced", is_class_test)
    return Probe(
        units,
        float(balanced_accuracy_score(is_class_test, predicted)),
        float(f1_score(is_class_test, predicted, sample_weight=weight, zero_division=0.0)),
    )


def sparse_probes(
    train: csr_matrix, is_class: np.ndarray, test: csr_matrix, is_class_test: np.ndarray
) -> dict[int, Probe]:
    """Return the probes of k = 1, 2 and 5 units for one class, by k.

    They use the units whose mean codes differ most, in absolute value, between the class and the
    others, in the training samples.
    """
    order = np.argsort(-np.abs(mean_differences(train, is_class)), kind="stable")
    return {
        k: probe(train, is_class, test, is_class_test, order[:k])
        for k in UNIT_COUNTS
        if k <= train.shape[1]
    }
