"""Figures of generated samples."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.generation import (
    MAX_CLASSES,
    code_distances,
    samples_by_class,
    sources,
)

RNG = np.random.default_rng(0)
GREY, COLOUR = (RNG.random((30, channels, 6, 5)) for channels in (1, 3))
FRECHET = {"real": 0.5, "mixture": 1234.0}
DISTANCES = {"real": RNG.lognormal(size=50), "uniform": 9 + RNG.random(50)}


def words(figure: Figure) -> str:
    figure.canvas.draw()
    texts: list[str] = []
    for axes in figure.axes:
        texts += [axes.get_title("left"), axes.get_ylabel()]
        texts += [text.get_text() for text in (*axes.texts, *axes.get_yticklabels())]
    return "\n".join(texts)


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_every_source_has_its_block_and_its_distance(images):
    figure = sources({"real": images, "mixture": images[:3]}, FRECHET)
    heights = [axes.images[0].get_array().shape[0] for axes in figure.axes]
    assert heights[0] == 2 * heights[1]  # two rows of images, and one
    assert "real test samples (Fréchet distance 0.500)" in words(figure)
    assert "Gaussian mixture (Fréchet distance 1234)" in words(figure)
    assert "distance" not in words(sources({"real": images}, {}))


@pytest.mark.parametrize(("name", "drawn"), [("a$b", r"a\$b"), ("all", "all")])
def test_every_class_has_its_row_its_name_and_its_share(name, drawn):
    agreement = pd.DataFrame({"class": [name, "two", "all"], "class_agreement": [0.25, 1, 0.6]})
    figure = samples_by_class({name: GREY, "two": GREY}, agreement)
    assert words(figure).split("\n")[-4:] == [drawn, "25.0%", "two", "100.0%"]


def test_long_class_names_stay_within_the_figure():
    figure = samples_by_class({"a class whose name is long": GREY, "WWWWW": GREY})
    figure.draw_without_rendering()
    for label in figure.axes[0].get_yticklabels():
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 < figure.axes[0].images[0].get_window_extent().x0


def test_at_most_so_many_classes_are_drawn_without_shares():
    figure = samples_by_class({f"class {i}": GREY[:2] for i in range(MAX_CLASSES + 3)})
    assert words(figure).count("class") == MAX_CLASSES
    assert "%" not in words(figure)


def test_every_source_of_codes_has_its_histogram_and_its_share_far_out():
    figure = code_distances(DISTANCES, limit=5)
    far = (DISTANCES["real"] > 5).mean()
    assert f"real test samples\n{far:.1%} far out" in words(figure)
    assert "uniform\n100.0% far out" in words(figure)
    heights = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes]
    assert heights == [50, 50]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: sources({"real": GREY[:3], "mixture": GREY[:3]}, FRECHET),
        lambda: samples_by_class({"a": GREY[:3]}),
        lambda: code_distances(DISTANCES, 5),
        lambda: code_distances({"real": np.full(9, 0.7)}, 0.7),
        lambda: code_distances({"real": np.zeros(9)}, 0),
    ],
    ids=["sources", "classes", "distances", "equal distances", "zeros"],
)
def test_figures_are_the_same_bytes_each_time(tmp_path, draw):
    paths = [tmp_path / f"{attempt}.png" for attempt in range(2)]
    for path in paths:
        save(draw(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
