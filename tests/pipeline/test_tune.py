"""A study: what it draws, and that it goes on where it was stopped."""

import optuna
import pytest

from hourglass.stages.prepare import prepare
from hourglass.tune import tune

from .workspaces import FakeRecorder, set_yaml


@pytest.fixture
def study(stage_folder, monkeypatch):
    """Give a function that has so many trials of a cell and returns the study."""
    monkeypatch.setattr("hourglass.tune.Recorder", FakeRecorder())
    monkeypatch.delenv("HOURGLASS_OPTUNA_STORAGE", raising=False)
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    prepare("digits")

    def run(trials: int, name: str = "digits-denoising") -> optuna.Study:
        tune("digits", "denoising", trials)
        return optuna.load_study(study_name=name, storage=f"sqlite:///{stage_folder}/optuna.db")

    return run


def test_a_study_that_goes_on_draws_anew(study):
    assert len(study(2).trials) == 2
    trials = study(4).trials
    assert len(trials) == 4
    assert len({tuple(each.params.values()) for each in trials}) == 4


def test_a_trial_is_trained_on_one_device_whatever_the_trainer_is(study, stage_folder):
    set_yaml(stage_folder / "configs/trainer/cpu.yaml", "devices", value=2)
    (trial,) = study(1).trials
    assert 0 <= trial.value <= 1


def test_another_score_is_another_study(study, stage_folder):
    (own,) = study(1).trials
    rapp = {"class_path": "hourglass.scorers.RaPP"}
    set_yaml(stage_folder / "params.yaml", "score", value=rapp)
    (other,) = study(1, "digits-denoising-rapp (whiten False)").trials
    assert other.value != own.value
