"""The best values of a study in the settings of its cell, and the metrics before tuning."""

import json
from pathlib import Path

import pytest
import yaml

from hourglass.core.paths import Cell
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.snapshot import snapshot
from hourglass.stages.train import train
from hourglass.training.cell_settings import resolve_cell
from hourglass.tuning.apply import apply_values
from tests.tuning.studies import CELL
from tests.workspaces import set_yaml


@pytest.fixture(autouse=True)
def _without_dvc(monkeypatch) -> None:
    """Skip the DVC stage, which needs a repository."""
    monkeypatch.setattr("hourglass.tuning.apply._update_snapshot", lambda: None)


def evaluate_cell() -> dict:
    for stage in (train, calibrate_threshold, evaluate):
        stage("digits", "denoising")
    return json.loads((CELL / "evaluate/metrics.json").read_text())


def snapshot_files() -> set[tuple[str, str]]:
    snapshot()
    folder = Path("runs/.snapshot")
    files = (path for path in folder.rglob("*") if path.is_file())
    return {(path.relative_to(folder).as_posix(), path.read_text()) for path in files}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("# mine\ninit_args:\n  masking: 0.1  # some\n  latent_dim: 3\n", {"masking": 0.1}),
        ("# mine\ninit_args:\n# some\n", {}),
    ],
)
def test_applied_values_change_one_cell_and_keep_comments(folder, text, kept):
    CELL.config.parent.mkdir(exist_ok=True)
    CELL.config.write_text(text, encoding="utf-8")
    before = snapshot_files()
    values = {"latent_dim": 12, "noise_factor": 0.4, "hidden": [24, 16]}
    apply_values(CELL, values, "a study")
    written = CELL.config.read_text(encoding="utf-8")
    assert "# mine" in written
    assert "# some" in written
    assert yaml.safe_load(written) == {"init_args": kept | values}
    changed = {name for name, _ in snapshot_files() - before}
    assert changed == {"digits-denoising/train.json"}
    latent_dims = [
        resolve_cell(Cell("digits", model), (1, 8, 8), 700).init_args["latent_dim"]
        for model in ("denoising", "undercomplete")
    ]
    assert latent_dims == [12, 8]


def test_metrics_of_other_settings_are_not_saved_as_the_default(folder, recorder, capsys):
    evaluate_cell()
    set_yaml(folder / "configs/data/digits.yaml", "model", "hidden", value=[16])
    apply_values(CELL, {"latent_dim": 3}, "a study")
    assert not CELL.default_record.exists()
    assert "other settings" in capsys.readouterr().err


def test_a_cell_outside_the_grid_is_reported(folder):
    set_yaml(folder / "params.yaml", "models", value=["linear"])
    assert "grid" in apply_values(CELL, {"latent_dim": 3}, "a study")


def test_unknown_names_in_the_cell_settings_are_rejected(folder, refusal):
    set_yaml(CELL.config, "init_args", value={"latent_dims": 3})
    sentence = refusal(resolve_cell, CELL, (1, 8, 8), 700)
    assert "configs/cell/digits-denoising.yaml" in sentence
    assert "'latent_dim'" in sentence


def test_the_row_before_tuning_disappears_when_the_shared_settings_change(folder, recorder):
    from hourglass.evaluation.report import leaderboard

    default = evaluate_cell()
    apply_values(CELL, {"latent_dim": 3}, "a study")
    _, before = leaderboard.cell_rows(CELL)
    assert (before["settings"], before["AUROC"]) == ("before tuning", default["AUROC"])
    set_yaml(CELL.config, "init_args", "noise_factor", value=0.1)  # of the cell alone
    assert len([*leaderboard.cell_rows(CELL)]) == 2
    set_yaml(folder / "configs/data/digits.yaml", "training", "batch_size", value=16)
    (row,) = leaderboard.cell_rows(CELL)
    assert row["settings"] == "tuned"


@pytest.mark.slow
def test_the_leaderboard_shows_a_tuned_cell_and_its_default(folder, recorder):
    from hourglass.evaluation.report import leaderboard

    default = evaluate_cell()
    apply_values(CELL, {"latent_dim": 3}, "a study")
    tuned = evaluate_cell()
    apply_values(CELL, {"latent_dim": 3}, "a later study")  # keeps the first default
    rows = [*leaderboard.cell_rows(CELL)]
    assert [(row["settings"], row["latent_dim"], row["AUROC"]) for row in rows] == [
        ("tuned", 3, tuned["AUROC"]),
        ("before tuning", 8, default["AUROC"]),
    ]
    assert set(leaderboard._row("", "", False, 1, {"method": "", "value": 0}, {})) <= set(rows[1])
