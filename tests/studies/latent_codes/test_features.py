"""Codes as features, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from hourglass.studies.classification.labelled_splits import LabelledSamples, LabelledSplits
from hourglass.studies.latent_codes.features import (
    analyse_features,
    feature_quality,
    neighbour_quality,
    principal_components,
)
from tests.studies.conftest import first_elements


@pytest.fixture
def splits() -> LabelledSplits:
    """Give overlapping classes in six dimensions."""
    rng = np.random.default_rng(0)

    def part(count: int) -> LabelledSamples:
        y = rng.integers(0, 4, count)
        return LabelledSamples((rng.normal(size=(count, 6)) + y[:, None]).astype(np.float32), y)

    return LabelledSplits(part(300), part(100), part(200))


def test_quality_equals_that_of_scikit_learn(splits):
    train, test = splits.train, splits.test
    knn = KNeighborsClassifier(7).fit(train.x, train.y)
    nearest = NearestNeighbors(n_neighbors=10).fit(train.x).kneighbors(test.x)[1]
    linear = LogisticRegression().fit((train.x - 1.5) / 1.5, train.y)
    assert feature_quality(splits) == {
        "kNN_accuracy": pytest.approx(knn.score(test.x, test.y)),
        "search_precision_at_10": pytest.approx(np.mean(train.y[nearest] == test.y[:, None])),
        "linear_accuracy": pytest.approx(linear.score((test.x - 1.5) / 1.5, test.y), abs=0.05),
    }


def test_a_class_without_training_samples_is_always_an_error(splits):
    test = LabelledSamples(splits.test.x, np.full(len(splits.test), -1))
    assert set(neighbour_quality(splits.train, test).values()) == {0.0}


def test_components_are_fitted_to_training_samples(splits):
    expected = PCA(2, svd_solver="full").fit(splits.train.x).transform(splits.test.x)
    components = principal_components(splits, 2)
    np.testing.assert_allclose(np.abs(components.test.x), np.abs(expected), atol=1e-4)


def test_the_code_is_compared_with_pca_and_the_input_and_durations_are_separate(space):
    result = analyse_features(space, {"kNN_accuracy": 0.5})
    table = result.tables["features"].set_index("features")
    assert list(table.index) == ["code", "pca", "input"]
    assert list(table["size"]) == [3, 3, 16]
    assert table.kNN_accuracy["input"] == 0.5
    assert result.metrics["kNN_accuracy"] == table.kNN_accuracy["code"] == 1
    kinds = [f"{name}_{how}" for name in table.index for how in ("single", "batched")]
    assert list(result.timing) == [f"query_milliseconds_{kind}" for kind in kinds]
    assert min(result.timing.values()) > 0
    assert not any("milliseconds" in name for name in [*result.metrics, *table])


def test_a_code_wider_than_the_input_is_not_compared_with_pca(clusters):
    table = analyse_features(first_elements(clusters, 40), {}).tables["features"]
    assert list(table.features) == ["code", "input"]
