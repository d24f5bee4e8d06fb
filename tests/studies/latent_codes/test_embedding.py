"""The map of codes, and its figures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from hourglass.evaluation.figures import maps
from hourglass.studies.latent_codes.embedding import METHODS, analyse_map
from hourglass.studies.latent_space import LatentSpace
from tests.studies.conftest import project


@pytest.fixture
def table(space) -> pd.DataFrame:
    return analyse_map(space).tables["map"]


def test_the_map_has_every_code_and_all_figures_and_is_reproducible(space, table):
    assert dict(table.label.value_counts()) == {"a": 20, "b": 20, "c": 20, "other": 20}
    assert set(table[table.label == "other"].kind) == {"anomalous"}
    again = analyse_map(space)
    assert again.tables["map"].equals(table)
    assert list(again.figures) == ["map", "map_classes", "map_thumbnails"]


def test_components_equal_those_of_scikit_learn_fitted_to_normal_codes(space, table):
    pca = PCA(2).fit(space.codes.test.x)
    expected = pca.transform(np.concatenate([space.codes.test.x, space.anomaly_codes]))
    np.testing.assert_allclose(np.abs(table[["pca_1", "pca_2"]]), np.abs(expected), atol=1e-4)


def test_tsne_keeps_classes_together(table):
    points, label = table[["tsne_1", "tsne_2"]].to_numpy(), table.label.to_numpy()
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert np.mean(label[distance.argmin(1)] == label) > 0.9


@pytest.mark.filterwarnings("ignore:invalid value")
def test_codes_that_are_all_equal_have_one_point(clusters):
    space = LatentSpace.build(clusters, project((1, 4, 4), np.zeros((3, 16))), seed=0)
    table = analyse_map(space).tables["map"]
    assert len(table) == 80
    assert (table[["pca_1", "pca_2", "tsne_1", "tsne_2"]] == 0).all(axis=None)


def points(classes: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame({"kind": ["normal", "anomalous"], "label": [classes[0], "x"]})
    return table.assign(pca_1=0.0, pca_2=[0.0, 1.0], tsne_1=0.0, tsne_2=[0.0, 1.0])


@pytest.mark.parametrize("name", ["{}", "a class whose name is long, number {}"])
def test_the_legend_stays_within_the_figure(name):
    classes = [name.format(i) for i in range(10)]
    figure = maps.overview(points(classes), METHODS, classes)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert len({text.get_text() for text in legend.get_texts()}) == len(classes) + 1
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1


def titles(classes: list[str]) -> list[str]:
    figure = maps.per_class(points(classes), "tsne", classes)
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_too_many_classes_for_colours_are_not_named():
    classes = [f"{i}" for i in range(maps.MAX_CLASSES + 1)]
    (legend,) = maps.overview(points(classes), METHODS, classes).legends
    assert [text.get_text() for text in legend.get_texts()] == ["anomalous"]
    assert len(titles(classes)) == maps.MAX_CLASSES + 1
    assert titles(classes)[-1] == "anomalous (1)"


def test_a_class_may_have_the_name_of_the_anomalies():
    assert titles(["anomalous", "b"]) == ["anomalous (1)", "b (0)", "anomalous (1)"]
