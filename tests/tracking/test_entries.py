"""Metrics and params as MLflow shows them."""

import math

import pytest
import yaml

from hourglass.core.paths import Cell
from hourglass.tracking.entries import rounded, section, settings_params
from hourglass.tracking.stage_records import read_cell
from tests.tracking.stored import CELL
from tests.workspaces import working_in


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9681712962962965, 0.96817),
        (0.99999612, 1.0),
        (1.234567e-7, 1.2346e-7),
        (32759.146664212152, 32759.0),
        (1234567.0, 1234567.0),
        (math.inf, math.inf),
    ],
)
def test_metrics_have_five_significant_digits_and_whole_numbers_stay(value, shown):
    assert rounded(value) == shown


def test_nan_stays():
    assert math.isnan(rounded(math.nan))


def test_the_ends_of_intervals_have_a_section_of_their_own():
    names = section("test", {"AUROC": 0.9, "AUROC_low": 0.8, "AUROC_high": 1.0}).keys()
    assert list(names) == ["test/AUROC", "interval/AUROC_low", "interval/AUROC_high"]


def test_settings_that_are_off_are_no_params_but_the_seed_is():
    settings = {"data": "digits", "model": "linear", "seed": 0, "trainer": {"devices": 1}}
    settings["init_args"] = {"tied": False, "masking": 0.0, "hidden": [], "loss": "mse"}
    settings["training"] = {"patience": 10}
    expected = {"data": "digits", "model": "linear", "seed": "0", "loss": "mse", "patience": "10"}
    assert settings_params(settings) == expected


def test_a_variant_without_latent_dim_has_the_resolved_one(clone):
    """As `overcomplete`, whose constructor takes a factor instead."""
    path = clone / "runs/digits/denoising/train/settings.yaml"
    settings = yaml.safe_load(path.read_text())
    size = settings["init_args"].pop("latent_dim")
    path.write_text(yaml.safe_dump(settings))
    with working_in(clone):
        assert read_cell(Cell(*CELL)).stages[0].params["latent_dim"] == str(size)
