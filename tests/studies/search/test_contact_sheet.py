"""Contact sheets of search results."""

import numpy as np
import pytest

from hourglass.studies.search.contact_sheet import MAX_NEIGHBOURS, SheetRow, draw_sheet

RNG = np.random.default_rng(0)


def row(shape: tuple[int, ...], images: int, name: str = "a$b$.png") -> SheetRow:
    labels = ["a label that is far too long $^$"] * images
    near = RNG.random((images, *shape))
    distances, anomaly = np.arange(images) / 3, np.arange(images) < 2
    return SheetRow(name, RNG.random(shape), near, labels, distances, anomaly)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 5, 6)], ids=["grey", "colour"])
@pytest.mark.parametrize("count", [4, MAX_NEIGHBOURS + 5])
def test_each_row_has_its_query_and_neighbours_with_captions_within_the_axes(shape, count):
    figure = draw_sheet([row(shape, count), row(shape, 4)], "100 $ off $")
    (axes,) = figure.axes
    images = axes.get_images()
    assert len(images) == 2 + min(count, MAX_NEIGHBOURS) + 4
    assert len(axes.patches) == 2 * 2  # anomalies are framed
    captions = [text.get_text() for text in axes.texts]
    assert captions.count("a$b$.png") == 2
    assert [text.split("\n")[1] for text in captions[-4:]] == ["0.00", "0.33", "0.67", "1.00"]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for image in images:
        a, b, c, d = image.get_extent()
        assert left <= a < b <= right
        assert top <= d < c <= bottom
    figure.canvas.draw()


def test_a_long_name_keeps_its_end_and_a_long_label_its_start():
    (axes,) = draw_sheet([row((1, 8, 8), 1, "a/very/long/folder/of/images/007.png")], "").axes
    name, label = (text.get_text() for text in axes.texts)
    assert name.endswith("images/007.png")
    assert name.startswith("\N{HORIZONTAL ELLIPSIS}")
    assert label.startswith("a label that")
