"""Figures: reproducible bytes, layout, and unusual scores, names and images."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import figures, metrics
from hourglass.evaluation.figures import Group, style
from hourglass.evaluation.figures.images import Row, grid

RNG = np.random.default_rng(0)
SCORES, ANOMALY = RNG.lognormal(size=60), np.arange(60) < 12
THRESHOLD = Threshold(1.5, "manual", {}, 0)
SHAPES = {"grey": (1, 6, 5), "colour": (3, 6, 5), "table": (4,)}
LEVELS = [0.0, 0.5, 1.0]
TABLE = pd.DataFrame(
    {
        "level": np.tile(LEVELS, 3),
        "method": np.repeat(["input", "median filter", "network"], 3),
        "PSNR": [None, 9.0, 6.0, 20.0, 14.0, 11.0, 25.0, 20.0, 15.0],
        "SSIM": np.linspace(1, 0.2, 9),
    }
)
NAMES = ["alpha", "beta_2", "gamma delta", "δ"]


def group(shape: tuple[int, ...], n: int = 2, title: str = "normal") -> Group:
    x = np.random.default_rng(0).random((n, *shape), np.float32)
    return Group(title, x, x[::-1] * 1.5 - 0.25, 9 * x - 2, [f"{i}: 0.5" for i in range(n)])


def samples(shape: tuple[int, ...]) -> Figure:
    groups = [group(shape), group(shape, 1, "anomalous")]
    return figures.samples(groups, NAMES if len(shape) == 1 else [])


def curves(kind: str, scores: np.ndarray = SCORES, anomaly: np.ndarray = ANOMALY) -> Figure:
    values = metrics.detection(scores, anomaly)
    if kind == "roc":
        return figures.roc(metrics.roc_curve(scores, anomaly), values["AUROC"])
    curve = metrics.precision_recall_curve(scores, anomaly)
    return figures.precision_recall(curve, values["average_precision"], values["prevalence"])


DRAWINGS: dict[str, Callable[[], Figure]] = {
    "histogram": lambda: figures.histogram(SCORES, ANOMALY, THRESHOLD),
    "roc": lambda: curves("roc"),
    "precision_recall": lambda: curves("precision_recall"),
    **{name: partial(samples, shape) for name, shape in SHAPES.items()},
    "restoration": lambda: figures.restoration(TABLE, ["network"]),
    "sheet": lambda: figures.sheet([figures.Strip("", {"input": list(group((1, 6, 5)).x)})]),
}


@pytest.fixture
def png(tmp_path):
    """Give a function that saves a figure and returns the bytes of the file."""

    def save(figure: Figure) -> bytes:
        figures.save(figure, tmp_path / "figure.png")
        return (tmp_path / "figure.png").read_bytes()

    return save


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_reproducible_and_has_the_layout_of_matplotlib(png, tmp_path, name):
    first = png(DRAWINGS[name]())
    assert png(DRAWINGS[name]()) == first
    path = tmp_path / "by_matplotlib.png"
    DRAWINGS[name]().savefig(path, dpi=style.DPI, metadata={"Software": None})
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "name",
    [
        "alpha",
        "cost [$] in {$}",
        "a$b^$",
        "50 %",
        "\\frac",
        "_x",
        "",
        "a\nb",
        "日本",
        "שלום",
        "\x07",
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_single_sample_may_have_any_text_as_feature_name_and_caption(png, name):
    assert png(figures.samples([group((1,), 1)], [name]))
    for shape in (SHAPES["grey"], SHAPES["colour"]):
        image = replace(group(shape, 1), captions=[f"{name}: 0.5"])
        assert png(figures.samples([image], []))


LONG = {"long": 3000 * "x", "lines": 999 * "a\n", "dollars": 999 * "$", "underscores": 999 * "_"}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.filterwarnings("error")  # also that of a layout without room
def test_a_name_of_any_length_leaves_room_for_the_axes(png, name):
    long = [replace(group((4,)), captions=[f"{LONG[name]}: 0.5"] * 2)]
    for draw in (figures.samples, figures.contributions):
        figure = draw(long, [LONG[name], *NAMES[1:]])
        assert png(figure)
        axes = figure.axes if draw is figures.contributions else figure.axes[:2]
        assert min(panel.get_position().width for panel in axes) > 0.1
    figure = grid([Row(LONG[name], group((1, 6, 5)).x)])
    assert png(figure)
    assert figure.get_size_inches().max() < 10


def test_of_many_features_those_with_the_largest_errors_are_drawn():
    wide = group((2000,))
    wide.contribution[1, [7, 1999]] = 1000
    figure = figures.samples([wide], [f"f{i}" for i in range(2000)])
    (band,) = figure.subfigs
    assert band.get_suptitle() == "normal, the 30 of 2,000 features that are off the most"
    names = [label.get_text() for label in band.axes[0].get_yticklabels()]
    assert {"f7", "f1999"} < set(names)
    assert len(names) == 30
    assert figure.get_figheight() < 6


def test_a_shortened_name_keeps_its_beginning_and_its_end():
    assert style.literal(f"{'a' * 50}: 0.5") == f"{'a' * 21}…{'a' * 5}: 0.5"
    assert style.literal("cost [$]") == r"cost [\$]"


def drawn_images(x: np.ndarray) -> list[np.ndarray]:
    """Return the pixels of the input and the output of a sample, (C, H, W)."""
    figure = figures.samples([Group("normal", x[None], x[None], 0 * x[None], ["a"])], [])
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images][:2]


def test_images_are_clipped_to_black_and_white():
    shown = drawn_images(np.array([[[-1.0, 0.0], [0.5, 2.0]]]))
    assert [values.tolist() for values in shown] == [[[0, 0], [0.5, 1]]] * 2


def test_colour_channels_are_moved_last():
    x = group(SHAPES["colour"], 1).x[0]
    np.testing.assert_array_equal(drawn_images(x)[0], x.transpose(1, 2, 0))


def test_a_named_figure_has_its_name_above_the_drawing(tmp_path):
    figure = samples(SHAPES["grey"])
    figures.save(figure, tmp_path / "figure.png", name="denoising on <a$b>")
    assert figure.get_suptitle() == r"denoising on <a\$b>"
    figure.draw_without_rendering()
    (title,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    assert title.get_window_extent().y0 >= max(box.y1 for box in boxes if box) - 1


EXTREMES = {
    "constant": np.full(60, 0.7),
    "zero": np.zeros(60),
    "zero and others": np.append(np.zeros(30), np.arange(1.0, 31)),
    "far apart": np.geomspace(1e-12, 1e12, 60),
    "almost alike": 1 + np.arange(60) * 1e-15,
}


@pytest.mark.parametrize("level", [0.0, 0.7])
@pytest.mark.parametrize("name", EXTREMES)
def test_the_histogram_counts_every_score_however_extreme(png, name, level):
    figure = figures.histogram(EXTREMES[name], ANOMALY, Threshold(level, "manual", {}, 0))
    assert sum(steps.get_data().values.sum() for steps in figure.axes[0].patches) == 60
    assert png(figure)


@pytest.mark.parametrize("name", ["constant", "zero"])
@pytest.mark.parametrize("kind", ["roc", "precision_recall"])
def test_curves_of_constant_scores_can_be_drawn(png, name, kind):
    assert png(curves(kind, EXTREMES[name]))


@pytest.mark.parametrize("count", [1, 60])
@pytest.mark.parametrize("anomalous", [False, True])
def test_scores_of_one_kind_can_be_drawn(png, anomalous, count):
    assert png(figures.histogram(SCORES[:count], np.full(count, anomalous), THRESHOLD))


def test_restoration_curves_differ_without_colours_and_omit_missing_values():
    psnr, ssim = figures.restoration(TABLE, ["network"]).axes
    looks = {
        (line.get_linestyle(), line.get_marker(), line.get_markerfacecolor()) for line in psnr.lines
    }
    assert len(looks) == len(psnr.lines) == 3
    assert [line.get_color() == style.ANOMALY for line in psnr.lines] == [False, False, True]
    assert [np.isfinite(line.get_ydata()).sum() for line in psnr.lines] == [2, 3, 3]
    assert [np.isfinite(line.get_ydata()).sum() for line in ssim.lines] == [3, 3, 3]


def test_images_of_several_sizes_are_scaled_to_the_largest_height_and_width():
    images = [RNG.random((1, 8, 12)), RNG.random((3, 4, 12)), RNG.random((1, 2, 3))]
    (axes,) = figures.sheet([figures.Strip("all", {"input": images})]).axes
    left, right, bottom, top = np.array([image.get_extent() for image in axes.images]).T
    assert (right - left).tolist() == [12, 12, 12]
    assert (bottom - top).tolist() == [8, 4, 8]
    assert ((top + bottom) / 2).tolist() == [4, 4, 4]
    assert (left[1:] > right[:-1]).all()
