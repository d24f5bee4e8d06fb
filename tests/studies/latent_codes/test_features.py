"""Neighbours and the linear classifier, against scikit-learn's own."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from hourglass.studies.classification.labelled_subsets import Labelled, Parts
from hourglass.studies.latent_codes.features import features, projected, quality
from hourglass.studies.latent_codes.knn import milliseconds, neighbour_quality


@pytest.fixture
def parts() -> Parts:
    """Give overlapping classes in six dimensions."""
    rng = np.random.default_rng(0)

    def part(count: int) -> Labelled:
        y = rng.integers(0, 4, count)
        return Labelled((rng.normal(size=(count, 6)) + y[:, None]).astype(np.float32), y)

    return Parts(part(300), part(100), part(200))


def test_the_neighbours_vote_as_scikit_learns_classifier_does(parts):
    theirs = KNeighborsClassifier(7).fit(parts.train.x, parts.train.y)
    ours = neighbour_quality(parts.train, parts.test)["kNN_accuracy"]
    assert ours == theirs.score(parts.test.x, parts.test.y)


def test_precision_is_the_share_of_the_ten_nearest_that_are_of_the_querys_class(parts):
    nearest = NearestNeighbors(n_neighbors=10).fit(parts.train.x).kneighbors(parts.test.x)[1]
    shares = [np.mean(parts.train.y[i] == y) for i, y in zip(nearest, parts.test.y, strict=True)]
    found = neighbour_quality(parts.train, parts.test)["search_precision_at_10"]
    assert found == pytest.approx(np.mean(shares))


def test_a_class_that_train_does_not_hold_is_always_an_error(parts):
    test = Labelled(parts.test.x, np.full(len(parts.test), -1))
    assert set(neighbour_quality(parts.train, test).values()) == {0.0}


def test_the_linear_classifier_is_better_than_chance_and_no_better_than_the_best_line(parts):
    standardised = [(each.x - 1.5) / 1.5 for each in (parts.train, parts.test)]
    theirs = LogisticRegression().fit(standardised[0], parts.train.y)
    ours = quality(parts)["linear_accuracy"]
    assert ours == pytest.approx(theirs.score(standardised[1], parts.test.y), abs=0.05)


def test_components_are_those_of_the_training_samples(parts):
    theirs = PCA(2, svd_solver="full").fit(parts.train.x)
    found = projected(parts, 2)
    expected = theirs.transform(parts.test.x)
    np.testing.assert_allclose(np.abs(found.test.x), np.abs(expected), atol=1e-4)


def test_the_code_stands_beside_pca_and_the_input(space):
    found = features(space, {"kNN_accuracy": 0.5})
    table = found.tables["features"].set_index("features")
    assert list(table.index) == ["code", "pca", "input"]
    assert list(table["size"]) == [3, 3, 16]
    assert table.kNN_accuracy["input"] == 0.5
    assert found.metrics["kNN_accuracy"] == table.kNN_accuracy["code"] == 1


def test_a_code_wider_than_the_input_has_no_pca_beside_it(prepared):
    from hourglass.studies.latent_codes.latent_space import LatentSpace
    from tests.studies.latent_codes.conftest import Exact

    found = features(LatentSpace.of(prepared, Exact(40).eval(), 0), {}).tables["features"]
    assert list(found.features) == ["code", "input"]


def test_times_stand_apart_from_what_is_the_same_in_every_run(space):
    found = features(space, {})
    assert all("milliseconds" in name for name in found.timing)
    assert not any("milliseconds" in name for name in [*found.metrics, *found.tables["features"]])
    assert all(value > 0 for value in milliseconds(np.eye(4), np.eye(4)).values())
