"""Bad settings and corrupt files: one sentence, and nothing written."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.workspaces import set_yaml

# By case: data set, variant, its init_args, and a word of the message.
REJECTED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "latent_dim of 0": ("breast_cancer", "linear", {"latent_dim": 0}, "latent_dim"),
    "negative latent_dim": ("digits", "convolutional", {"latent_dim": -3}, "latent_dim"),
    "code as wide": (
        "breast_cancer",
        "undercomplete",
        {"latent_dim": 30},
        "latent_dim",
    ),
    "code wider": ("digits", "undercomplete", {"latent_dim": 65}, "latent_dim"),
    "bce on a table": ("breast_cancer", "undercomplete", {"loss": "bce"}, "loss"),
    "unknown loss": ("breast_cancer", "undercomplete", {"loss": "mea"}, "loss"),
    "text for a number": ("breast_cancer", "linear", {"latent_dim": "wide"}, "latent_dim"),
    "typo in a key": ("breast_cancer", "linear", {"latent_dims": 3}, "latent_dims"),
    "no hidden units": ("breast_cancer", "denoising", {"hidden": [0]}, "hidden"),
    "negative hidden units": ("breast_cancer", "denoising", {"hidden": [-2]}, "hidden"),
    "no channels": ("digits", "convolutional", {"channels": []}, "channels"),
    "no channel in a layer": ("digits", "convolutional", {"channels": [0]}, "channels"),
    "negative noise": ("digits", "denoising", {"noise_factor": -0.1}, "noise_factor"),
    "noise that is NaN": ("digits", "denoising", {"noise_factor": float("nan")}, "noise_factor"),
    "masking of everything": ("digits", "denoising", {"masking": 1.0}, "masking"),
    "learning rate of 0": ("digits", "linear", {"learning_rate": 0.0}, "learning_rate"),
    "learning rate of NaN": (
        "digits",
        "linear",
        {"learning_rate": float("nan")},
        "learning_rate",
    ),
    "negative weight decay": ("digits", "linear", {"weight_decay": -1.0}, "weight_decay"),
    "NaN loss": ("breast_cancer", "linear", {"learning_rate": 1e30}, "learning_rate"),
    "NaN loss with convolutions": (
        "breast_cancer",
        "convolutional",
        {"learning_rate": 1e30},
        "learning_rate",
    ),
}


@pytest.mark.parametrize("why", REJECTED)
def test_a_rejected_training_writes_nothing(stage_folder, recorder, refusal, why):
    data, model, init_args, word = REJECTED[why]
    for key, value in init_args.items():
        set_yaml(stage_folder / f"configs/model/{model}.yaml", "init_args", key, value=value)
    prepare(data)
    assert word in refusal(train, data, model)
    assert not [path for path in Path("runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("data", "model"), [("digits", "denoisng"), ("digts", "denoising")])
def test_an_unknown_name_is_rejected_with_the_file_it_would_have(
    stage_folder, recorder, refusal, data, model
):
    prepare("digits")
    sentence = refusal(train, data, model)
    assert f"{data if data != 'digits' else model}.yaml" in sentence


def test_a_training_works_once_the_rejected_setting_is_fixed(stage_folder, recorder, refusal):
    path = stage_folder / "configs/model/linear.yaml"
    before = path.read_bytes()
    set_yaml(path, "init_args", "learning_rate", value=1e30)
    prepare("breast_cancer")
    refusal(train, "breast_cancer", "linear")
    path.write_bytes(before)
    assert (train("breast_cancer", "linear") / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("max_epochs", 0), ("batch_size", 0), ("patience", 0), ("max_epoch", 3)]
)
def test_a_bad_training_setting_is_rejected(stage_folder, recorder, refusal, key, value):
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", key, value=value)
    prepare("digits")
    assert key in refusal(train, "digits", "linear")


@pytest.mark.parametrize(
    "calibration",
    [
        {"class_path": "hourglass.detection.calibrators.Quantile", "init_args": {"q": 1.5}},
        {"class_path": "hourglass.detection.calibrators.Quantile", "init_args": {"p": 0.5}},
        {"class_path": "hourglass.detection.calibrators.Quantil"},
        {"class_path": "hourglass.detection.threshold.Threshold"},
        {"class_path": "hourglass.detection.calibrators.Calibrator"},
        {"class_path": "Quantile"},
        {"init_args": {"q": 0.5}},
        {"class_path": "hourglass.detection.calibrators.KSigma", "init_args": {"k": float("nan")}},
    ],
    ids=str,
)
def test_a_bad_calibration_is_rejected_and_writes_nothing(
    stage_folder, recorder, refusal, calibration
):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    set_yaml(stage_folder / "params.yaml", "calibration", value=calibration)
    refusal(calibrate_threshold, "breast_cancer", "linear")
    assert not (stage_folder / "runs/breast_cancer/linear/calibrate").exists()


def test_weights_that_are_not_finite_set_no_threshold(stage_folder, recorder, refusal):
    from safetensors.numpy import load_file, save_file

    prepare("breast_cancer")
    path = train("breast_cancer", "linear") / "weights.safetensors"
    save_file({key: value * np.float32("nan") for key, value in load_file(path).items()}, path)
    refusal(calibrate_threshold, "breast_cancer", "linear")
    assert not Path("runs/breast_cancer/linear/calibrate").exists()


def test_corrupt_weights_are_rejected(stage_folder, recorder, refusal):
    prepare("breast_cancer")
    path = train("breast_cancer", "linear") / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    refusal(calibrate_threshold, "breast_cancer", "linear")


@pytest.mark.parametrize(
    ("missing", "stage"), [("train", "train"), ("calibrate", "calibrate-threshold")]
)
def test_evaluate_names_the_stage_that_must_run_first(
    stage_folder, recorder, refusal, missing, stage
):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    calibrate_threshold("breast_cancer", "linear")
    shutil.rmtree(f"runs/breast_cancer/linear/{missing}")
    assert f"hourglass {stage} breast_cancer linear" in refusal(evaluate, "breast_cancer", "linear")
    assert not Path("runs/breast_cancer/linear/evaluate").exists()


@pytest.mark.parametrize(
    "file",
    [
        "train/weights.safetensors",
        "train/network.json",
        "calibrate/detector.json",
        "calibrate/reference.safetensors",
        "calibrate/threshold.json",
    ],
)
def test_a_missing_file_of_a_detector_is_one_sentence(stage_folder, recorder, refusal, file):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    calibrate_threshold("breast_cancer", "linear")
    (Path("runs/breast_cancer/linear") / file).unlink()
    assert "runs/breast_cancer/linear" in refusal(evaluate, "breast_cancer", "linear")
    assert not Path("runs/breast_cancer/linear/evaluate").exists()


def test_compare_names_the_cell_that_is_not_evaluated(stage_folder, recorder, refusal):
    prepare("digits")
    assert "hourglass train digits linear" in refusal(compare)
    assert not (stage_folder / "reports").exists()
