"""Pictures of what was made up: everything that is shown is named."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.generation import (
    MAX_CLASSES,
    by_class,
    code_distances,
    sources,
)

RNG = np.random.default_rng(0)
GREY, COLOUR = (RNG.random((30, channels, 6, 5)) for channels in (1, 3))
FRECHET = pd.DataFrame({"source": ["real", "mixture"], "frechet_distance": [0.5, 1234.0]})
DISTANCES = {"real": RNG.lognormal(size=50), "uniform": 9 + RNG.random(50)}


def words(figure: Figure) -> str:
    figure.canvas.draw()
    return "\n".join(
        text for axes in figure.axes for text in
        (axes.get_title("left"), axes.get_ylabel(), *(each.get_text() for each in axes.texts),
         *(each.get_text() for each in axes.get_yticklabels()))
    )  # fmt: skip


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_every_source_has_its_block_and_its_distance(images):
    figure = sources({"real": images, "mixture": images[:3]}, FRECHET)
    heights = [axes.images[0].get_array().shape[0] for axes in figure.axes]
    assert heights[0] == 2 * heights[1]  # two rows of images, and one
    assert "real test samples (Fréchet distance 0.500)" in words(figure)
    assert "Gaussian mixture (Fréchet distance 1234)" in words(figure)


def test_every_class_has_its_row_its_name_and_its_share():
    agreement = pd.DataFrame({"class": ["a$b", "two", "all"], "class_agreement": [0.25, 1, 0.6]})
    figure = by_class({"a$b": GREY, "two": GREY}, agreement)
    assert words(figure).split("\n")[-4:] == [r"a\$b", "25.0%", "two", "100.0%"]


def test_a_class_may_be_called_as_the_row_of_all_of_them():
    agreement = pd.DataFrame({"class": ["all", "two", "all"], "class_agreement": [0.25, 1, 0.6]})
    figure = by_class({"all": GREY, "two": GREY}, agreement)
    assert words(figure).split("\n")[-4:] == ["all", "25.0%", "two", "100.0%"]


def test_the_longest_class_name_is_drawn_whole():
    figure = by_class({"a class whose name is long": GREY, "WWWWW": GREY})
    figure.draw_without_rendering()
    for label in figure.axes[0].get_yticklabels():
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 < figure.axes[0].images[0].get_window_extent().x0


def test_classes_can_be_drawn_without_shares_and_many_of_them_in_part():
    figure = by_class({f"class {i}": GREY[:2] for i in range(MAX_CLASSES + 3)})
    assert words(figure).count("class") == MAX_CLASSES
    assert "%" not in words(figure)


def test_every_source_of_codes_has_its_histogram_and_the_share_far_out():
    figure = code_distances(DISTANCES, limit=5)
    said = words(figure)
    far = (DISTANCES["real"] > 5).mean()
    assert f"real test samples\n{far:.1%} far out" in said
    assert "uniform\n100.0% far out" in said
    heights = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes]
    assert heights == [50, 50]


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_distances_that_are_all_alike_can_be_drawn(value, tmp_path):
    save(code_distances({"real": np.full(9, value)}, limit=value), tmp_path / "figure.png")


def test_a_picture_drawn_twice_is_the_same_to_the_bit(tmp_path):
    for name, draw in {
        "sources": lambda: sources({"real": GREY[:3], "mixture": GREY[:3]}, FRECHET),
        "classes": lambda: by_class({"a": GREY[:3]}),
        "distances": lambda: code_distances(DISTANCES, 5),
    }.items():
        written = []
        for attempt in range(2):
            save(draw(), tmp_path / f"{name}-{attempt}.png")
            written.append((tmp_path / f"{name}-{attempt}.png").read_bytes())
        assert written[0] == written[1]
