"""The nearest name, and names of data sets and variants that have no settings file."""

import re

import pytest

from hourglass.core.paths import CONFIGS, Cell, require_baselines, require_known
from hourglass.core.suggestions import counted, did_you_mean, nearest_name
from hourglass.data.prepared_data import Prepared
from hourglass.models import VARIANTS


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("digist", "digits"),
        ("DIGITS", "digits"),
        ("fashion-mnist", "fashion_mnist"),
        ("mnsit", "mnist"),
        ("xyz", None),
        ("", None),
    ],
)
def test_the_nearest_name_ignores_case_and_hyphens(name, nearest):
    assert nearest_name(name, ["digits", "fashion_mnist", "mnist"]) == nearest


def test_all_names_are_listed_only_without_a_near_one():
    assert did_you_mean("linaer", ["linear", "sparse"]) == "did you mean 'linear'?"
    assert did_you_mean("xyz", ["sparse", "linear"]) == "available: 'linear', 'sparse'."


def test_every_variant_is_listed_without_a_near_name():
    assert all(repr(name) in did_you_mean("xyz", VARIANTS) for name in VARIANTS)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (
            lambda: Cell("digist", "linear").require("train"),
            "data set 'digist'.*did you mean 'digits'",
        ),
        (
            lambda: Cell("digits", "linaer").require("train"),
            "variant 'linaer'.*did you mean 'linear'",
        ),
        (lambda: require_baselines("digist"), "data set 'digist'.*did you mean 'digits'"),
        (
            lambda: Prepared.open(Cell("digist", "linear").prepared),
            "data set 'digist'.*did you mean 'digits'",
        ),
    ],
)
def test_a_missing_output_of_an_unknown_name_names_the_nearest(workspace, refusal, act, sentence):
    assert re.match(f"unknown {sentence}", refusal(act))


def test_a_missing_output_of_a_known_cell_names_the_cells_that_have_one(workspace, refusal):
    for model in ("sparse", "denoising"):
        Cell("digits", model).output("train").mkdir(parents=True)
    sentence = refusal(Cell("digits", "linear").require, "train")
    assert "run `hourglass train digits linear`" in sentence
    assert sentence.endswith("; on digits it exists for denoising, sparse.")


def test_every_settings_file_is_a_known_name(workspace):
    for data in (CONFIGS / "data").glob("*.yaml"):
        for model in (CONFIGS / "model").glob("*.yaml"):
            require_known(data.stem, model.stem)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 anomalies"), (1, "1 anomaly"), (1200, "1,200 anomalies")]
)
def test_a_number_has_the_form_of_its_noun(count, text):
    assert counted(count, "anomaly", "anomalies") == text
    assert counted(count, "row") == text.replace("anomaly", "row").replace("anomalies", "rows")
