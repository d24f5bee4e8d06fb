"""Command `tune`: its arguments, and the study that it prints."""

from pathlib import Path

import pytest

from hourglass.cli.tune import tune
from hourglass.stages.prepare import prepare
from tests.tuning.studies import run_study
from tests.workspaces import set_yaml


@pytest.fixture
def folder(stage_folder, monkeypatch):
    """Return a working folder with prepared digits, trained for two epochs."""
    monkeypatch.delenv("HOURGLASS_OPTUNA_STORAGE", raising=False)
    prepare("digits")
    return stage_folder


def test_show_without_a_study_is_rejected_and_creates_no_storage(folder, refusal):
    assert "no complete trial" in refusal(tune, "digits", "denoising", show=True)
    assert not (folder / "optuna.db").exists()


def test_show_names_the_studies_with_other_settings(folder, refusal, capsys):
    study = run_study(trials=1)
    set_yaml(folder / "configs/data/digits.yaml", "training", "patience", value=1)
    refusal(tune, "digits", "denoising", show=True)
    assert f"study {study.study_name} differs in: training" in capsys.readouterr().out


def test_show_prints_the_trials_best_first(folder, capsys):
    study = run_study(trials=3)
    tune("digits", "denoising", show=True)
    printed = capsys.readouterr().out
    best, *_ = [line for line in printed.splitlines() if " complete " in line]
    assert best.split()[0] == str(study.best_trial.number)
    assert f"{study.best_value:.4g}" in printed.splitlines()[-1]
    assert "3 trials (3 complete, 0 pruned, 0 failed)" in printed


def test_a_launcher_is_rejected(folder, refusal, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "launcher" in refusal(tune, "digits", "denoising")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"workers": 0}, "workers"),
        ({"trials": -5}, "-5"),
        ({"trials": 5, "show": True}, "--show"),
        ({"out": Path("configs")}, "configs"),
        ({"objective": "AUROC"}, "detection"),
        ({"space": "nowhere"}, "default"),
        ({"model": "denoisin"}, "denoising"),
        ({"data": "mnist"}, "prepare"),
    ],
)
def test_invalid_arguments_are_rejected_before_any_work(folder, refusal, changes, word):
    sentence = refusal(tune, **({"data": "digits", "model": "denoising"} | changes))
    assert word in sentence
    assert not (folder / "optuna.db").exists()
