"""Search spaces: draws, and errors for values that the constructor rejects."""

import optuna
import pytest

from hourglass.core.paths import CONFIGS, Cell
from hourglass.core.yaml_config import construct, import_class
from hourglass.models.base import LitAutoencoder
from hourglass.training.cell_settings import resolve_cell
from hourglass.tuning.search_space import Space, read_space

GROUP = """
corruption:
  one_of:
    gaussian: {noise_factor: {low: 0.1, high: 1.0}, masking: 0.0}
    masking: {masking: {low: 0.1, high: 0.8}, noise_factor: 0.0}
"""


def draws(space: Space, count: int = 40) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    return [space.draw(study.ask()) for _ in range(count)]


def test_numbers_are_in_their_range_and_integers_if_the_setting_is(space_of):
    drawn = draws(space_of("latent_dim: {low: 2, high: 9}\nnoise_factor: {low: 0, high: 2}"))
    assert {each["latent_dim"] for each in drawn} <= set(range(2, 10))
    assert all(isinstance(each["latent_dim"], int) for each in drawn)
    assert all(isinstance(each["noise_factor"], float) for each in drawn)
    assert 0 <= min(each["noise_factor"] for each in drawn) < 0.5
    assert 1.5 < max(each["noise_factor"] for each in drawn) <= 2


def test_a_logarithmic_range_draws_small_and_large_numbers_equally_often(space_of):
    drawn = draws(space_of("learning_rate: {low: 0.0001, high: 0.01, log: true}"), 200)
    small = sum(each["learning_rate"] < 0.001 for each in drawn)
    assert 70 < small < 130


def test_a_range_keeps_its_step(space_of):
    drawn = draws(space_of("latent_dim: {low: 4, high: 16, step: 4}"))
    assert {each["latent_dim"] for each in drawn} == {4, 8, 12, 16}


def test_lists_are_drawn_as_lists(space_of):
    drawn = draws(space_of("hidden: {choices: [[], [32], [32, 16]]}"))
    assert sorted(map(str, {tuple(each["hidden"]) for each in drawn})) == [
        "()",
        "(32, 16)",
        "(32,)",
    ]


def test_a_group_draws_the_settings_of_one_kind_only(space_of):
    drawn = draws(space_of(GROUP))
    assert {bool(each["masking"]) for each in drawn} == {False, True}
    for each in drawn:
        assert bool(each["masking"]) != bool(each["noise_factor"])
        assert set(each) == {"masking", "noise_factor"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latent_dims: {low: 2, high: 8}", ["latent_dims", "latent_dim"]),
        ("latent_dim: {low: 0, high: 8}", ["latent_dim", "at least 1"]),
        ("masking: {low: 0.0, high: 1.5}", ["masking", "1.5"]),
        ("noise_factor: {low: 1.0, high: 0.5}", ["1.0", "0.5"]),
        ("noise_factor: {low: 0.0, high: 0.5, log: true}", ["log=True", "0.0"]),
        ("noise_factor: {low: many, high: 0.5}", ["noise_factor"]),
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


def test_the_first_trial_has_the_settings_of_the_cell(space_of, settings_of):
    space = space_of("latent_dim: {low: 2, high: 16}\nhidden: {choices: [[], [32]]}")
    study = optuna.create_study()
    study.enqueue_trial(space.nearest(settings_of("denoising")))
    assert space.draw(study.ask()) == {"latent_dim": 8, "hidden": [32]}


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("latent_dim: {low: 3, high: 15, step: 4}", {"latent_dim": 7}),
        (
            "latent_dim: {low: 16, high: 32}\nnoise_factor: {low: 0.4, high: 1}",
            {"latent_dim": 16, "noise_factor": 0.4},
        ),
    ],
)
def test_the_first_trial_is_the_nearest_of_the_space(space_of, settings_of, text, start):
    assert space_of(text).nearest(settings_of("denoising")) == start


@pytest.mark.parametrize("shape", [(1, 28, 28), (30,)])
def test_every_variant_takes_the_space_of_its_data_set(workspace, variant, shape):
    if variant.startswith("bolts_") and len(shape) == 1:
        return
    if variant.startswith("bolts_"):
        shape = (1, 32, 32)
    data = "mnist" if len(shape) > 1 else "breast_cancer"
    settings = resolve_cell(Cell(data, variant), shape)
    kind = import_class(settings.class_path, LitAutoencoder, variant)
    for name in (data, "default") if len(shape) > 1 else (data,):
        space = read_space(CONFIGS / f"tune/space/{name}.yaml", kind, settings)
        drawn = draws(space, 1)[0]
        assert set(drawn) <= {"latent_dim", "noise_factor"}
        construct(kind, settings.init_args | drawn, variant)
