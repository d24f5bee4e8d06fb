"""Command `tune`: its arguments, and the study that it prints."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hourglass.cli.tune import _default_objective, tune
from hourglass.stages.prepare import prepare
from tests.tuning.studies import run_study
from tests.workspaces import set_yaml


@pytest.fixture
def folder(stage_folder, monkeypatch) -> Path:
    """Give a working folder with prepared digits, trained for two epochs."""
    monkeypatch.delenv("HOURGLASS_OPTUNA_STORAGE", raising=False)
    prepare("digits")
    return Path(stage_folder)


def test_show_prints_the_trials_best_first_and_names_studies_with_other_settings(
    folder, refusal, capsys
):
    study = run_study(trials=3)
    tune("digits", "denoising", show=True)
    printed = capsys.readouterr().out
    best, *_ = [line for line in printed.splitlines() if " complete " in line]
    assert best.split()[0] == str(study.best_trial.number)
    assert f"{study.best_value:.4g}" in printed.splitlines()[-1]
    assert "3 trials (3 complete, 0 pruned, 0 failed)" in printed
    set_yaml(folder / "configs/data/digits.yaml", "training", "patience", value=1)
    refusal(tune, "digits", "denoising", show=True)
    assert f"study {study.study_name} differs in: training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"show": True}, "no complete trial"),
        ({"workers": 0}, "workers"),
        ({"trials": -5}, "-5"),
        ({"trials": 5, "show": True}, "--show"),
        ({"out": Path("configs")}, "configs"),
        ({"objective": "AUROC"}, "detection"),
        ({"space": "nowhere"}, "default"),
        ({"model": "denoisin"}, "denoising"),
        ({"data": "mnist"}, "prepare"),
        ({}, "launcher"),
    ],
    ids=str,
)
def test_invalid_calls_are_rejected_and_create_no_storage(
    folder, refusal, monkeypatch, changes, word
):
    if not changes:
        monkeypatch.setenv("WORLD_SIZE", "2")
    assert word in refusal(tune, **({"data": "digits", "model": "denoising"} | changes))
    assert not (folder / "optuna.db").exists()


@pytest.mark.parametrize(
    ("anomalies", "shape", "expected"),
    [
        (3, (1, 8, 8), "detection"),
        (0, (1, 8, 8), "synthetic_defects"),
        (0, (12,), "synthetic"),
        (0, (3, 10), "synthetic"),
    ],
)
def test_without_labelled_anomalies_the_objective_makes_some_and_says_so(
    capsys, anomalies, shape, expected
):
    card = {"data": "tiles", "splits": {"tuning": {"anomalies": anomalies}}}
    prepared = SimpleNamespace(card=card, sample_shape=shape)
    assert _default_objective(prepared) == expected
    assert (
        f"tiles holds no anomalies, so the objective is {expected}" in capsys.readouterr().out
    ) == (not anomalies)
