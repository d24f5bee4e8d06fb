"""The map of codes, where codes or classes are unusual."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.evaluation.figures import maps
from hourglass.studies.latent_codes.embedding import METHODS, latent_map
from hourglass.studies.latent_codes.latent_space import LatentSpace
from tests.studies.latent_codes.conftest import Exact


def test_codes_that_are_all_equal_have_one_place(prepared):
    network = Exact()
    with torch.no_grad():
        for each in network.encoder.parameters():
            each.zero_()
    table = latent_map(LatentSpace.of(prepared, network.eval(), seed=0)).tables["map"]
    assert len(table) == 80
    assert (table[["pca_1", "pca_2", "tsne_1", "tsne_2"]] == 0).all(axis=None)


def places(classes: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame({"kind": ["normal", "anomalous"], "label": [classes[0], "x"]})
    return table.assign(pca_1=0.0, pca_2=[0.0, 1.0], tsne_1=0.0, tsne_2=[0.0, 1.0])


@pytest.mark.parametrize(
    "classes",
    [[*"0123456789"], [f"a class whose name is long, number {i}" for i in range(10)]],
    ids=["short", "long"],
)
def test_the_names_of_classes_stand_within_the_picture(classes):
    figure = maps.overview(places(classes), METHODS, classes)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [each.get_text() for each in legend.get_texts()] == [*classes, "anomalous"]
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1


def test_more_classes_than_can_be_told_apart_are_not_named():
    classes = [f"{i}" for i in range(maps.MAX_CLASSES + 1)]
    (legend,) = maps.overview(places(classes), METHODS, classes).legends
    assert [each.get_text() for each in legend.get_texts()] == ["anomalous"]
    figure = maps.per_class(places(classes), "tsne", classes[: maps.MAX_CLASSES + 1])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == maps.MAX_CLASSES + 1
    assert titles[-1] == "anomalous (1)"


def test_a_class_may_be_called_as_the_anomalies_are():
    classes = ["anomalous", "b"]
    figure = maps.per_class(places(classes), "tsne", classes)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["anomalous (1)", "b (0)", "anomalous (1)"]
    assert np.array_equal(figure.axes[0].lines[1].get_ydata(), [0.0])
