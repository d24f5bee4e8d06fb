"""Checks and hints that spare a training: calibration samples, and max_epochs."""

import json
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.paths import prepared_folder
from hourglass.core.settings import params
from hourglass.detection.calibrators import EVT, Calibrator, Conformal
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.workspaces import set_yaml

CALIBRATORS = [Conformal(0.05), Conformal(0.3), Conformal(0.05, 0.1), EVT(0.01, 0.8), EVT()]


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: f"{c.method} {vars(c)}")
def test_min_samples_is_the_smallest_number_that_calibrates(calibrator: Calibrator, refusal):
    scores = np.random.default_rng(0).exponential(size=calibrator.min_samples)
    assert calibrator(scores).n == calibrator.min_samples
    refusal(calibrator, scores[1:])


@pytest.fixture
def strict(workspace) -> str:
    """Give a data set with 268 samples for training and calibration, for a need of 999."""
    set_yaml(workspace / "params.yaml", "calibration", "init_args", "alpha", value=0.001)
    return "breast_cancer"


def test_a_pipeline_refuses_too_few_calibration_samples_before_training(
    strict, monkeypatch, refusal
):
    monkeypatch.setenv("DVC_STAGE", f"prepare@{strict}")
    message = refusal(prepare, strict)
    assert "has 54 calibration samples" in message
    assert "conformal with alpha 0.001, needs 999" in message
    assert "together have 268" in message
    assert not prepared_folder(strict).exists()


def test_a_single_prepare_warns_of_too_few_calibration_samples(strict, capsys):
    assert prepare(strict).is_dir()
    assert "needs 999" in capsys.readouterr().err


@pytest.mark.parametrize(("learning_rate", "improves"), [(1e-30, False), (0.003, True)])
def test_a_training_that_ends_while_its_error_falls_says_so(
    stage_folder: Path, recorder, capsys, learning_rate, improves
):
    path = stage_folder / "configs/data/breast_cancer.yaml"
    set_yaml(path, "training", "max_epochs", value=4)
    set_yaml(path, "model", "learning_rate", value=learning_rate)
    set_yaml(path, "model", "schedule", value="constant")
    prepare("breast_cancer")
    folder = train("breast_cancer", "undercomplete")
    hint = "breast_cancer-undercomplete: the validation error still fell"
    assert (hint in capsys.readouterr().err) == improves
    summary = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert summary["still_improving"] == improves


def test_the_default_calibration_needs_no_warning(workspace, capsys):
    assert params().calibration["class_path"].endswith("Conformal")
    for data in ("digits", "breast_cancer"):
        prepare(data)
    assert capsys.readouterr().err == ""
