from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import figures, metrics
from hourglass.evaluation.figures import Group, style

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


def samples(shape: tuple[int, ...], n: int = 2) -> Figure:
    groups = [group(shape, n), group(shape, 1, "anomalous")]
    return figures.samples(groups, NAMES if len(shape) == 1 else [])


def curves(kind: str, scores: np.ndarray = SCORES, anomaly: np.ndarray = ANOMALY) -> Figure:
    found = metrics.detection(scores, anomaly)
    if kind == "roc":
        return figures.roc(metrics.roc(scores, anomaly), found["AUROC"])
    curve = metrics.precision_recall(scores, anomaly)
    return figures.precision_recall(curve, found["average_precision"], found["prevalence"])


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
    """Give a function that saves a figure and returns the bytes of its file."""

    def save(figure: Figure) -> bytes:
        figures.save(figure, tmp_path / "figure.png")
        return (tmp_path / "figure.png").read_bytes()

    return save


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_drawn_twice_is_the_same_png_to_the_bit(png, name):
    first = png(DRAWINGS[name]())
    assert first.startswith(b"\x89PNG")
    assert png(DRAWINGS[name]()) == first


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_laid_out_as_matplotlib_would(png, tmp_path, name):
    path = tmp_path / "by_matplotlib.png"
    DRAWINGS[name]().savefig(path, dpi=style.DPI, metadata={"Software": None})
    assert png(DRAWINGS[name]()) == path.read_bytes()


@pytest.mark.parametrize("name", SHAPES)
def test_one_sample_can_be_drawn(png, name):
    shape = SHAPES[name]
    assert png(figures.samples([group(shape, 1)], NAMES if name == "table" else []))


def test_one_feature_can_be_drawn(png):
    assert png(figures.samples([group((1,))], ["alpha"]))


@pytest.mark.parametrize(
    "name", ["cost [$] in {$}", "a$b^$", "50 %", "\\frac", "_x", "", "a\nb", "日本"]
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_column_name_can_be_drawn(png, name):
    assert png(figures.samples([group((1,))], [name]))


@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_label_can_be_a_caption(png):
    one = group((1, 6, 5), 1)
    assert png(
        figures.samples([Group("normal", one.x, one.reconstruction, one.x, ["$}$: 0.5"])], [])
    )


def test_an_input_is_shown_as_it_is_and_clipped_to_black_and_white():
    image = np.array([[[-1.0, 0.0], [0.5, 2.0]]])
    figure = figures.samples(
        [Group("normal", image[None], image[None], 0 * image[None], ["a"])], []
    )
    shown = [image.get_array() for axes in figure.axes for image in axes.images]
    assert [values.tolist() for values in shown[:2]] == [[[0, 0], [0.5, 1]]] * 2


def test_channels_of_colour_are_shown_last():
    x = group(SHAPES["colour"], 1).x
    figure = figures.samples([Group("normal", x, x, x, ["a"])], [])
    shown = next(axes.images[0].get_array() for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(shown, x[0].transpose(1, 2, 0))


EXTREMES = {
    "constant": np.full(60, 0.7),
    "zero": np.zeros(60),
    "zero and others": np.append(np.zeros(30), np.arange(1.0, 31)),
    "far apart": np.geomspace(1e-12, 1e12, 60),
    "almost alike": 1 + np.arange(60) * 1e-15,
}


@pytest.mark.parametrize("level", [0.0, 0.7])
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_scores_can_be_drawn(png, name, level):
    threshold = Threshold(level, "manual", {}, 0)
    assert png(figures.histogram(EXTREMES[name], ANOMALY, threshold))


@pytest.mark.parametrize("name", ["constant", "zero"])
@pytest.mark.parametrize("kind", ["roc", "precision_recall"])
def test_curves_of_constant_scores_can_be_drawn(png, name, kind):
    assert png(curves(kind, EXTREMES[name]))


@pytest.mark.parametrize("anomalous", [False, True])
def test_scores_of_one_kind_can_be_drawn(png, anomalous):
    assert png(figures.histogram(SCORES, np.full(60, anomalous), THRESHOLD))


def test_one_score_can_be_drawn(png):
    assert png(figures.histogram(np.array([0.3]), np.array([False]), THRESHOLD))


@pytest.mark.parametrize("name", EXTREMES)
def test_the_histogram_counts_every_sample(name):
    scores = EXTREMES[name]
    (axes,) = figures.histogram(scores, ANOMALY, THRESHOLD).axes
    counted = sum(bar.get_height() for bar in axes.patches)
    assert counted == len(scores)


def test_the_curves_of_restoration_tell_methods_apart_without_colours():
    lines = figures.restoration(TABLE, ["network"]).axes[0].lines
    looks = {
        (line.get_linestyle(), line.get_marker(), line.get_markerfacecolor()) for line in lines
    }
    assert len(looks) == len(lines) == 3
    assert [line.get_color() == style.ANOMALY for line in lines] == [False, False, True]


def test_the_curves_of_restoration_leave_out_what_is_infinite():
    psnr, ssim = figures.restoration(TABLE, ["network"]).axes
    assert [np.isfinite(line.get_ydata()).sum() for line in psnr.lines] == [2, 3, 3]
    assert [np.isfinite(line.get_ydata()).sum() for line in ssim.lines] == [3, 3, 3]


def test_images_of_several_sizes_are_drawn_as_large_as_the_largest():
    images = [RNG.random((1, 8, 8)), RNG.random((3, 4, 8)), RNG.random((1, 2, 2))]
    (axes,) = figures.sheet([figures.Strip("all", {"input": images})]).axes
    left, right, bottom, top = np.array([image.get_extent() for image in axes.images]).T
    assert (right - left).tolist() == [8, 8, 8]
    assert (bottom - top).tolist() == [8, 4, 8]
    assert ((top + bottom) / 2).tolist() == [4, 4, 4]
