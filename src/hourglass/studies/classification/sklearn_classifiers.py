"""scikit-learn classifiers on latent codes or other flat features."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from hourglass.studies.classification.labelled_splits import LabelledSamples, LabelledSplits

SklearnClassifier: TypeAlias = Literal["logistic", "svm", "knn"]
NEIGHBOURS = 7
C_CANDIDATES = {"logistic": (0.01, 0.1, 1.0, 10.0), "svm": (1.0, 10.0)}  # inverse of regularisation
MAX_SELECTION_SAMPLES = 10_000  # to select C; an SVM takes quadratic time


def logistic(c: float) -> Any:
    """Return multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-3, max_iter=1000))


def svm(c: float) -> Any:
    """Return an SVM with an RBF kernel scaled by the variance of the features."""
    from sklearn.svm import SVC

    return SVC(C=c)


def knn(train: LabelledSamples) -> Any:
    """Return a fitted classifier by the majority of the 7 nearest neighbours."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(NEIGHBOURS, len(train))).fit(train.x, train.y)


def fit_classifier(
    name: SklearnClassifier, train: LabelledSamples, validation: LabelledSamples
) -> Any:
    """Return a classifier fitted to `train`; the validation error selects C.

    At most the first 10,000 training samples are used to select C.
    """
    if name == "knn":
        return knn(train)
    make: Callable[[float], Any] = {"logistic": logistic, "svm": svm}[name]
    subset = train.first(MAX_SELECTION_SAMPLES)
    fitted = {c: make(c).fit(subset.x, subset.y) for c in C_CANDIDATES[name]}
    best = min(fitted, key=lambda c: classification_error(fitted[c], validation))
    return fitted[best] if len(subset) == len(train) else make(best).fit(train.x, train.y)


def classification_error(classifier: Any, samples: LabelledSamples) -> float:
    """Return the share of misclassified samples."""
    return float(np.mean(classifier.predict(samples.x) != samples.y))


def measure_test_error(name: SklearnClassifier, splits: LabelledSplits) -> float:
    """Fit a classifier to flat features, (N, D), and return its error on the test split."""
    classifier = fit_classifier(name, splits.train, splits.validation)
    return classification_error(classifier, splits.test)
