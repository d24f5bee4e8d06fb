"""Search spaces: draws, and errors for values that the constructor rejects."""

import dataclasses

import optuna
import pytest
from optuna.distributions import IntDistribution

from hourglass.core.paths import CONFIGS, Cell
from hourglass.core.yaml_config import construct, import_class, read
from hourglass.models.base import LitAutoencoder
from hourglass.models.undercomplete import Undercomplete
from hourglass.training.cell_settings import resolve_cell
from hourglass.tuning.search_space import Space, read_space
from hourglass.tuning.study_spec import SPACES
from tests.tuning.studies import CELL

GROUP = """
corruption:
  one_of:
    gaussian: {noise_factor: {low: 0.1, high: 1.0}, masking: 0.0}
    masking: {masking: {low: 0.1, high: 0.8}, noise_factor: 0.0}
"""


def draws(space: Space, count: int = 40) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    return [space.draw(study.ask()) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("latent_dim: {low: 2, high: 5}", [2, 3, 4, 5]),
        ("latent_dim: {low: 4, high: 16, step: 4}", [4, 8, 12, 16]),
        ("latent_dim: {low: 2.0, high: 4, step: null}", [2, 3, 4]),
        ("hidden: {choices: [[], [32], [32, 16]]}", [[], [32], [32, 16]]),
    ],
)
def test_all_integers_of_a_range_and_all_choices_are_drawn(space_of, text, values):
    drawn = [value for trial in draws(space_of(text)) for value in trial.values()]
    assert {str(value) for value in drawn} == {str(value) for value in values}


@pytest.mark.parametrize(("log", "median"), [("true", 0.01), ("false", 0.5)])
def test_fractions_are_uniform_on_the_scale_of_their_range(space_of, log, median):
    space = space_of(f"noise_factor: {{low: 0.0001, high: 1.0, log: {log}}}")
    drawn = [trial["noise_factor"] for trial in draws(space, 200)]
    assert 70 < sum(value < median for value in drawn) < 130


def test_a_group_draws_the_settings_of_one_kind_only(space_of):
    drawn = draws(space_of(GROUP))
    assert {bool(values["masking"]) for values in drawn} == {False, True}
    for values in drawn:
        assert values.keys() == {"masking", "noise_factor"}
        assert bool(values["masking"]) != bool(values["noise_factor"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latent_dims: {low: 2, high: 8}", ["latent_dims", "latent_dim"]),
        ("latent_dim: {low: 0, high: 8}", ["latent_dim", "at least 1"]),
        ("masking: {low: 0.0, high: 1.5}", ["masking", "1.5"]),
        ("noise_factor: {low: 1.0, high: 0.5}", ["1.0", "0.5"]),
        ("noise_factor: {low: 0.0, high: 0.5, log: true}", ["log=True", "0.0"]),
        ("noise_factor: {low: many, high: 0.5}", ["noise_factor", "many"]),
        ("noise_factor: {low: 0.1, high: .inf}", ["noise_factor", "inf"]),
        ("noise_factor: {low: 0.1}", ["noise_factor", "high"]),
        ("noise_factor: 0.1", ["noise_factor", "0.1"]),
        ("activation: {choices: [relu, rellu]}", ["activation", "rellu"]),
        ("activation: {choices: []}", ["choices"]),
        ("hidden: {choices: [[32], [0]]}", ["hidden", "0"]),
        ("corruption: {one_of: {gaussian: {noise: 1}}}", ["noise"]),
        (GROUP.replace("0.8", "1.0"), ["masking", "1.0"]),
        (GROUP.replace(", masking: 0.0", ""), ["same settings", "masking"]),
        ("corruption: {one_of: {}}", ["corruption", "empty"]),
        ("corruption: {one_of: }", ["corruption", "empty"]),
        ("corruption: {one_of: {none: }}", ["corruption", "none"]),
        ("latent_dim: {low: 2, high: .inf}", ["latent_dim", "inf"]),
        ("latent_dim: {low: -.inf, high: 8, step: 2}", ["latent_dim", "finite"]),
        ("noise_factor: {low: -.inf, high: 0.5, step: 0.1}", ["noise_factor", "finite"]),
        ("latent_dim: {low: 2.7, high: 2.9}", ["latent_dim", "2.7"]),
        ("latent_dim: {low: 2, high: 8, step: 0.5}", ["latent_dim", "0.5"]),
        ("latent_dim: {low: 2, high: 8, step: -1}", ["latent_dim", "-1"]),
        ("", ["denoising"]),
    ],
)  # fmt: skip
def test_values_that_the_constructor_rejects_are_errors_before_the_first_trial(
    space_of, refusal, text, words
):
    sentence = refusal(space_of, text)
    assert "mine.yaml" in sentence
    for word in words:
        assert word in sentence


def test_undercomplete_rejects_a_code_as_wide_as_its_input(space_of, refusal):
    assert "64" in refusal(space_of, "latent_dim: {low: 2, high: 64}", "undercomplete")
    assert list(space_of("latent_dim: {low: 2, high: 63}", "undercomplete")) == ["latent_dim"]


def test_settings_of_other_variants_are_skipped(space_of):
    space = space_of(
        "latent_dim: {low: 2, high: 8}\nnoise_factor: {low: 0.1, high: 1}", "overcomplete"
    )
    assert list(space) == ["noise_factor"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "latent_dim: {low: 2, high: 16}\nhidden: {choices: [[], [128]]}",
            {"latent_dim": 8, "hidden": [128]},
        ),
        ("latent_dim: {low: 3, high: 15, step: 4}", {"latent_dim": 7}),
        ("latent_dim: {low: 16, high: 32}", {"latent_dim": 16}),
        ("noise_factor: {low: 0.4, high: 1}", {"noise_factor": 0.4}),
    ],
)
def test_the_first_trial_is_nearest_to_the_settings_of_the_cell(space_of, text, values):
    space, study = space_of(text), optuna.create_study()
    study.enqueue_trial(space.nearest(resolve_cell(CELL, (1, 8, 8), 700)))
    assert space.draw(study.ask()) == values


@pytest.mark.parametrize(
    ("data", "space", "shape"),
    [
        ("mnist", "mnist", (1, 28, 28)),
        ("mnist", "default", (1, 28, 28)),
        ("breast_cancer", "breast_cancer", (30,)),
    ],
)
def test_every_variant_takes_the_space_of_its_data_set(workspace, variant, data, space, shape):
    if variant.startswith("bolts_"):
        if len(shape) == 1:
            pytest.skip("takes images only")
        shape = (1, 32, 32)
    settings = resolve_cell(Cell(data, variant), shape, 700)
    kind = import_class(settings.class_path, LitAutoencoder, variant)
    (values,) = draws(read_space(CONFIGS / f"tune/space/{space}.yaml", kind, settings), 1)
    assert set(values) <= {"latent_dim", "noise_factor"}
    construct(kind, settings.init_args | values, variant)


# The widest code of undercomplete on N features has N - 1 units.
@pytest.mark.parametrize("features", [3, 4, 20, 32, 33, 500])
def test_the_default_range_is_cut_to_the_codes_that_the_variant_accepts(workspace, features):
    settings = resolve_cell(Cell("breast_cancer", "undercomplete"), (30,), 180)
    init_args = settings.init_args | {"sample_shape": [features], "latent_dim": 2}
    settings = dataclasses.replace(settings, init_args=init_args)
    space = read_space(SPACES / "default.yaml", Undercomplete, settings)
    whole = read(SPACES / "default.yaml", None)["latent_dim"]
    high = min(features - 1, whole["high"])
    assert space.settings["latent_dim"] == IntDistribution(whole["low"], high, log=True)
    note = f"latent_dim is searched from 2 to {high}, as undercomplete on breast_cancer does not "
    assert [text[: len(note)] for text in space.notes] == [note] * (high < whole["high"])
