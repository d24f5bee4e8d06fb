"""scikit-learn's classifiers, on codes or on any other features."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from hourglass.studies.classification.labelled_subsets import Labelled, Parts

Shallow: TypeAlias = Literal["logistic", "svm", "knn"]
NEIGHBOURS = 7
STRENGTHS = {"logistic": (0.01, 0.1, 1.0, 10.0), "svm": (1.0, 10.0)}  # C, the inverse penalty
CHOSEN_WITH = 10_000  # labels at most for the choice of C: an SVM's time grows with their square


def logistic(c: float) -> Any:
    """Return multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-3, max_iter=1000))


def svm(c: float) -> Any:
    """Return an SVM whose RBF kernel is as wide as the features' variance."""
    from sklearn.svm import SVC

    return SVC(C=c)


def knn(train: Labelled) -> Any:
    """Return the vote of the 7 nearest training samples."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(NEIGHBOURS, len(train))).fit(train.x, train.y)


def fitted(name: Shallow, train: Labelled, validation: Labelled) -> Any:
    """Return a classifier fitted to `train`; of those with a C, the one that validates best.

    Where there are more than 10,000 samples, C is chosen with the first 10,000.
    """
    if name == "knn":
        return knn(train)
    make: Callable[[float], Any] = {"logistic": logistic, "svm": svm}[name]
    few = train.first(CHOSEN_WITH)
    found = {c: make(c).fit(few.x, few.y) for c in STRENGTHS[name]}
    best = min(found, key=lambda c: error(found[c], validation))
    return found[best] if len(few) == len(train) else make(best).fit(train.x, train.y)


def error(classifier: Any, samples: Labelled) -> float:
    """Return the share of samples that a classifier puts in a wrong class."""
    return float(np.mean(classifier.predict(samples.x) != samples.y))


def run(name: Shallow, parts: Parts) -> float:
    """Return the test error of a classifier of flat features, (N, D)."""
    return error(fitted(name, parts.train, parts.validation), parts.test)
