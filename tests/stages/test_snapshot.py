"""The digests on which the training of a cell depends."""

import json
from pathlib import Path

import pytest

from hourglass.core.paths import CONFIGS, Cell
from hourglass.stages import snapshot

MODULE = "hourglass.models.denoising"


def train_content(**init_args: object) -> dict:
    """Return the content for the training of a variant with these settings."""
    path, kind = CONFIGS / "model" / "mine.yaml", "hourglass.models.ensemble.Ensemble"
    path.write_text(json.dumps({"class_path": kind, "init_args": init_args}), encoding="utf-8")
    external: dict[str, list[str]] = {
        stage: [] for stage in (*snapshot.CELL_STAGES, *snapshot.OTHER_STAGES)
    }
    return snapshot._cell(Cell("digits", "mine"), external)["train"]


@pytest.mark.parametrize("class_path", [f"{MODULE}.Denoising", "hourglass.models.Denoising"])
@pytest.mark.parametrize("setting", ["variant", "variants"])
def test_training_depends_on_the_code_of_inner_variants(
    setting, class_path, workspace, monkeypatch
):
    monkeypatch.setattr(snapshot, "code_digest", lambda *modules: list(modules))
    named = {"class_path": class_path}
    content = train_content(**{setting: [named] if setting == "variants" else named})
    assert MODULE in content["code"]
    assert MODULE not in train_content()["code"]


def test_training_depends_on_both_files_of_a_dictionary(workspace, tmp_path):
    files = [tmp_path / name for name in ("sae_weights.safetensors", "cfg.json")]
    for file in files:
        file.write_text("a", encoding="utf-8")
    contents = [train_content(weights=files[0].as_posix())]
    for file in files:
        file.write_text("b", encoding="utf-8")
        contents.append(train_content(weights=Path(files[0]).as_posix()))
    assert contents[0] != contents[1] != contents[2]


@pytest.mark.parametrize("variants", [["x"], "x"])
def test_members_of_a_wrong_type_are_left_to_the_training(variants, workspace):
    assert "code" in train_content(variants=variants)
