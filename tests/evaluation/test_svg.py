"""Plots as SVG: axes, ticks, and the places of marks; the palette for colour-blind readers."""

import itertools
import re

import numpy as np
import pytest

from hourglass.evaluation import palette
from hourglass.evaluation.report.svg import AREA, HEIGHT, LEFT, TOP, WIDTH, Axis, Plot, tick_text
from tests.evaluation.pages import parse

RANGES = [(0, 1), (0.85, 0.9731), (-3, 7), (1e-6, 3e-6), (0.999, 1.0), (120, 98_000)]


@pytest.mark.parametrize("ends", RANGES)
@pytest.mark.parametrize("log", [False, True])
def test_ticks_are_a_few_round_numbers_within_the_ends(ends, log):
    if log and (ends[0] <= 0 or ends[1] / ends[0] < 6):
        pytest.skip("not a logarithmic axis")
    axis = Axis("x", *ends, log=log)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 9
    assert all(ends[0] - 1e-12 <= tick <= ends[1] + 1e-12 for tick in ticks)
    for tick in filter(None, ticks):
        assert float(f"{tick:.2g}") == pytest.approx(tick) or ends[1] - ends[0] < tick


def test_an_axis_is_logarithmic_only_for_positive_values_of_several_magnitudes():
    assert Axis.around("x", [1, 100]).log
    assert not Axis.around("x", [0, 100]).log
    assert not Axis.around("x", [1, 3]).log
    for value, margin in itertools.product([0.5, 0.0, -2.0], [0.0, 0.05]):
        constant = Axis.around("x", [value, value], margin)
        assert constant.low < value < constant.high
        assert constant.ticks()
    np.testing.assert_allclose(Axis("x", 1, 100, log=True).place([1, 10, 100]), [0, 0.5, 1])


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (20_000, "20k"), (3e6, "3M"), (0, "0")])
def test_ticks_have_short_texts(value, text):
    assert tick_text(value) == text


def test_marks_are_at_the_places_of_their_values_and_text_is_escaped():
    plot = Plot(Axis("<x>", 0, 10), Axis("y", 0, 1))
    plot.line([0, 5, 10], [0, 1, 0], "css", "<b>title</b>", 'a"b')
    plot.line([0, 10], [0.5, 1], "css", step=True)
    plot.marker(10, 1, "M0 0", "css")
    tree = parse(plot.svg("a label <1>"))
    (svg,) = tree.children
    assert svg.attributes["aria-label"] == "a label <1>"
    line, stair, marker = [group for group in svg.children if group.attributes["class"] != "axes"]
    bottom, right, middle = HEIGHT - AREA[1] - TOP, LEFT + AREA[0], LEFT + AREA[0] / 2
    base = HEIGHT - bottom
    shapes = [next(group.all("path")).attributes for group in (line, stair, marker)]
    assert shapes[0]["d"] == f"M{LEFT} {base}L{middle:g} {TOP}L{right} {base}"
    assert shapes[1]["d"] == f"M{LEFT} {TOP + AREA[1] / 2:g}V{TOP}H{right}"
    assert shapes[2]["transform"] == f"translate({right} {TOP})"
    assert line.attributes["data-model"] == 'a"b'
    assert next(line.all("title")).text == "<b>title</b>"


def test_points_of_the_same_pixel_are_merged():
    plot = Plot(Axis("x"), Axis("y"))
    plot.line(np.linspace(0, 1, 100_000), np.linspace(0, 1, 100_000), "css")
    assert len(re.findall("L", plot.svg(""))) <= 4 * WIDTH


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, as WCAG defines it."""
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize(("shade", "paper"), [(0, "#ffffff"), (1, "#171615")])
def test_colours_contrast_with_their_background(shade, paper):
    for colours in palette.SERIES.items():
        dark, light = sorted((luminance(colours[shade]), luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG, for graphics


# Machado et al. 2009, complete dichromacy; rows are red, green and blue of the seen colour.
SEEN = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}
TO_CONES = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
TO_OKLAB = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]


@pytest.mark.parametrize("shade", [0, 1])
@pytest.mark.parametrize("kind", SEEN)
def test_colours_differ_for_colour_blind_readers(kind, shade):
    seen = np.clip([SEEN[kind] @ linear(pair[shade]) for pair in palette.SERIES.items()], 0, 1)
    oklab = np.cbrt(seen @ np.transpose(TO_CONES)) @ np.transpose(TO_OKLAB)
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(oklab, 2)]
    assert min(distances) > 0.06  # 0.02 is just noticeable
    assert np.linalg.norm(oklab[0] - oklab[1]) > 0.15  # normal samples and anomalies


def test_series_differ_without_colours():
    pairs = {
        (i % len(palette.COLOURS), i % len(palette.DASHES), i % len(palette.MARKERS))
        for i in range(30)
    }
    assert len({pair[:2] for pair in pairs}) == len({pair[::2] for pair in pairs}) == 30
    assert len({pair[1:] for pair in pairs}) == 30
