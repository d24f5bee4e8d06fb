"""scikit-learn classifiers on latent codes or other flat features."""

from typing import Any, Literal, TypeAlias

import numpy as np

from hourglass.studies.classification.labelled_splits import LabelledSamples, LabelledSplits

SklearnClassifier: TypeAlias = Literal["logistic", "svm", "knn"]
NEIGHBOURS = 7
C_CANDIDATES = {"logistic": (0.01, 0.1, 1.0, 10.0), "svm": (1.0, 10.0)}  # inverse of regularisation
MAX_SELECTION_SAMPLES = 10_000  # to select C; an SVM takes quadratic time


def fit_classifier(
    name: SklearnClassifier, train: LabelledSamples, validation: LabelledSamples
) -> Any:
    """Return a classifier fitted to `train`; the validation error selects C.

    It is multinomial logistic regression on standardised features, an SVM with an RBF kernel, or
    the majority of the 7 nearest neighbours. At most the first 10,000 training samples are used to
    select C.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def fit(c: float, samples: LabelledSamples) -> Any:
        logistic = LogisticRegression(C=c, tol=1e-3, max_iter=1000)
        model = SVC(C=c) if name == "svm" else make_pipeline(StandardScaler(), logistic)
        return model.fit(samples.x, samples.y)

    if name == "knn":
        return KNeighborsClassifier(min(NEIGHBOURS, len(train))).fit(train.x, train.y)
    subset = train.first(MAX_SELECTION_SAMPLES)
    fitted = {c: fit(c, subset) for c in C_CANDIDATES[name]}
    best = min(fitted, key=lambda c: classification_error(fitted[c], validation))
    return fitted[best] if len(subset) == len(train) else fit(best, train)


def classification_error(classifier: Any, samples: LabelledSamples) -> float:
    """Return the share of misclassified samples."""
    return float(np.mean(classifier.predict(samples.x) != samples.y))


def measure_test_error(name: SklearnClassifier, splits: LabelledSplits) -> float:
    """Fit a classifier to flat features, (N, D), and return its error on the test split."""
    classifier = fit_classifier(name, splits.train, splits.validation)
    return classification_error(classifier, splits.test)
