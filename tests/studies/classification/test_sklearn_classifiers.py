"""Selection of C by the validation error."""

import pytest

from hourglass.studies.classification import sklearn_classifiers
from hourglass.studies.latent_space import flatten_splits


@pytest.mark.parametrize("candidates", [(1e-6, 10.0), (10.0, 1e-6)], ids=str)
def test_c_is_selected_with_a_subset_and_the_classifier_is_fitted_to_all_samples(
    monkeypatch, prepared, splits, candidates
):
    monkeypatch.setattr(sklearn_classifiers, "C_CANDIDATES", {"svm": candidates})
    monkeypatch.setattr(sklearn_classifiers, "MAX_SELECTION_SAMPLES", 100)
    flat = flatten_splits(splits, prepared.scaling)
    for size in (100, 300):
        svm = sklearn_classifiers.fit_classifier("svm", flat.train.first(size), flat.validation)
        assert svm.C == 10
        assert svm.shape_fit_ == (size, 64)
