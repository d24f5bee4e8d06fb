"""Study specifications: which changes start another study, and the tuning pipeline of DVC."""

import json
from pathlib import Path

import pytest
import yaml

from hourglass.core.code_digest import code_digest, executed_modules, source_file
from hourglass.stages.snapshot import snapshot
from hourglass.tuning import study_spec
from hourglass.tuning.study_spec import StudySpec
from tests.tuning.studies import CELL
from tests.workspaces import set_yaml

TRIAL = "hourglass.tuning.trial"
SCORERS = "hourglass.detection.scorers."
PARTS = [{"class_path": f"{SCORERS}{name}"} for name in ("ModelScore", "Mahalanobis")]
COMBINED = {"class_path": f"{SCORERS}Combined", "init_args": {"parts": PARTS}}


@pytest.mark.parametrize(
    ("file", "keys", "value", "named"),
    [
        ("params.yaml", ("score",), {"class_path": "hourglass.detection.scorers.RaPP"}, ["score"]),
        ("params.yaml", ("score",), COMBINED, ["score"]),
        ("params.yaml", ("seed",), 1, ["seed"]),
        ("configs/data/digits.yaml", ("training", "max_epochs"), 3, ["training"]),
        ("configs/data/digits.yaml", ("model", "hidden"), [16], ["settings"]),
        ("configs/tune/space/default.yaml", ("latent_dim", "high"), 16, ["space"]),
        ("configs/data/digits.yaml", ("model", "latent_dim"), 4, []),  # it is searched
        ("configs/trainer/cpu.yaml", ("devices",), 2, []),
        ("configs/trainer/cpu.yaml", ("residency",), "stream", []),
        ("configs/trainer/cpu.yaml", ("acceleration",), "none", []),
        ("configs/trainer/cpu.yaml", ("gradient_clip_val",), 0.5, ["trainer"]),
        # as `--apply` writes them
        ("configs/cell/digits-denoising.yaml", ("init_args", "noise_factor"), 0.1, []),
    ],
)
def test_settings_that_affect_a_trial_start_another_study(folder, file, keys, value, named):
    before = StudySpec.of(CELL, "detection", None)
    name, settings = before.study_name, before.settings
    set_yaml(folder / file, *keys, value=value)
    after = StudySpec.of(CELL, "detection", None)
    assert after.differences(settings) == named
    assert (after.study_name != name) == bool(named)


def test_the_code_of_trial_variant_objective_and_score_names_the_study(folder, monkeypatch):
    (folder / "my_scores.py").write_text("class Score: ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    set_yaml(folder / "params.yaml", "score", value={"class_path": "my_scores.Score"})
    entries: list[str] = []
    monkeypatch.setattr(study_spec, "code_digest", lambda *modules: entries.extend(modules))
    assert StudySpec.of(CELL, "detection", None).study_name
    assert entries == [
        TRIAL,
        "hourglass.models.denoising",
        "hourglass.tuning.objectives",
        "my_scores",
    ]


@pytest.mark.parametrize("group", [None, {"none": None}])
def test_an_empty_group_still_has_a_study_name(folder, group):
    set_yaml(folder / "configs/tune/space/default.yaml", "corruption", value={"one_of": group})
    assert StudySpec.of(CELL, "detection", None).study_name


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("mse", ["bottleneck", "reconstruction_error"]),
        ("loss", ["bottleneck", "reconstruction_error"]),
        ("auc", ["detection", "synthetic", "pareto"]),
    ],
)
def test_an_unknown_objective_is_explained(workspace, refusal, objective, words):
    sentence = refusal(StudySpec.of, CELL, objective, None)
    assert all(word in sentence for word in words)


def test_the_dvc_stage_of_a_study_depends_on_all_its_code_and_settings(folder, repository, variant):
    """The files outside the digest that a trial of this variant executes are dependencies."""
    pipeline = yaml.safe_load((repository / "tune/dvc.yaml").read_text(encoding="utf-8"))
    stage = pipeline["stages"]["tune"]["do"]
    assert stage["wdir"] == ".."  # paths are relative to the project root
    paths = [path.replace("${item.data}", "digits") for path in stage["deps"]]
    digest = "runs/.snapshot/tune.json"
    assert {"configs/cell", "configs/trainer", "configs/tune", digest} <= set(paths)
    snapshot()
    assert json.loads(Path(digest).read_text())["code"] == code_digest(TRIAL)
    config = yaml.safe_load((repository / f"configs/model/{variant}.yaml").read_text())
    module = config["class_path"].rpartition(".")[0]
    for name in executed_modules(TRIAL, module) - executed_modules(TRIAL):
        file = source_file(name)
        assert file
        assert any(file.is_relative_to(repository / path) for path in paths), name
