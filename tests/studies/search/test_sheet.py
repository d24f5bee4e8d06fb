import numpy as np
import pytest

from hourglass.studies.search.contact_sheet import COLUMNS, Row, sheet

RNG = np.random.default_rng(0)


def row(shape: tuple[int, ...], images: int, name: str = "a$b$.png") -> Row:
    labels = ["a label that is far too long $^$"] * images
    near = RNG.random((images, *shape))
    return Row(name, RNG.random(shape), near, labels, np.arange(images) / 3, np.arange(images) < 2)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 5, 6)], ids=["grey", "colour"])
def test_each_row_has_its_query_and_neighbours_with_captions(shape):
    (axes,) = (figure := sheet([row(shape, 4), row(shape, 4)], "100 $ off $")).axes
    assert len(axes.get_images()) == 2 * (1 + 4)
    assert len(axes.patches) == 2 * 2  # anomalies are framed
    captions = [text.get_text() for text in axes.texts]
    assert captions.count("a$b$.png") == 2
    assert [each.split("\n")[1] for each in captions[1:5]] == ["0.00", "0.33", "0.67", "1.00"]
    figure.canvas.draw()


def test_nothing_is_drawn_beyond_the_axes():
    (axes,) = sheet([row((1, 8, 8), COLUMNS + 5)], "").axes
    assert len(axes.get_images()) == 1 + COLUMNS
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for image in axes.get_images():
        a, b, c, d = image.get_extent()
        assert left <= a < b <= right
        assert top <= d < c <= bottom


def test_a_long_name_keeps_its_end_and_a_long_label_its_beginning():
    (axes,) = sheet([row((1, 8, 8), 1, "a/very/long/folder/of/images/007.png")], "").axes
    name, label = (text.get_text() for text in axes.texts)
    assert name.endswith("images/007.png")
    assert name.startswith("\N{HORIZONTAL ELLIPSIS}")
    assert label.startswith("a label that")
