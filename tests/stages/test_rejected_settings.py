"""Bad settings and corrupt files: one sentence, and nothing written."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.workspaces import calibrated, set_yaml

# Data set, variant, a setting of the variant, its value.
REJECTED: list[tuple[str, str, str, Any]] = [
    ("breast_cancer", "linear", "latent_dim", 0),
    ("breast_cancer", "linear", "latent_dim", "wide"),
    ("breast_cancer", "linear", "latent_dims", 3),
    ("breast_cancer", "undercomplete", "latent_dim", 30),  # as wide as a sample
    ("digits", "undercomplete", "latent_dim", 65),  # wider
    ("breast_cancer", "undercomplete", "loss", "bce"),  # on a table
    ("breast_cancer", "undercomplete", "loss", "mea"),
    ("breast_cancer", "denoising", "hidden", [0]),
    ("breast_cancer", "denoising", "hidden", [-2]),
    ("digits", "convolutional", "channels", []),
    ("digits", "convolutional", "channels", [0]),
    ("digits", "linear", "learning_rate", float("nan")),
    ("breast_cancer", "undercomplete", "learning_rate", 1e30),  # the loss becomes NaN
    ("breast_cancer", "convolutional", "learning_rate", 1e30),
]


def written() -> list[Path]:
    return [path for path in Path("runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("data", "model", "setting", "value"), REJECTED)
def test_a_rejected_training_writes_nothing(
    stage_folder, recorder, refusal, data, model, setting, value
):
    path = stage_folder / f"configs/model/{model}.yaml"
    before = path.read_bytes()
    set_yaml(path, "init_args", setting, value=value)
    prepare(data)
    assert setting in refusal(train, data, model)
    assert written() == []
    if value == 1e30:  # the next training works
        path.write_bytes(before)
        assert (train(data, model) / "weights.safetensors").exists()


@pytest.mark.parametrize(("data", "model"), [("digits", "denoisng"), ("digts", "denoising")])
def test_an_unknown_name_is_rejected_with_the_file_it_would_have(
    stage_folder, refusal, data, model
):
    prepare("digits")
    assert f"{data if data != 'digits' else model}.yaml" in refusal(train, data, model)


@pytest.mark.parametrize("key", ["max_epochs", "batch_size", "patience"])
def test_a_bad_training_setting_is_rejected(stage_folder, recorder, refusal, key):
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", key, value=0)
    prepare("digits")
    assert key in refusal(train, "digits", "linear")


@pytest.mark.parametrize(
    ("name", "init_args"),
    [
        ("calibrators.Quantile", {"q": 1.5}),
        ("calibrators.KSigma", {"k": float("nan")}),
        ("calibrators.Quantil", {}),
        ("calibrators.Calibrator", {}),  # abstract
        ("threshold.Threshold", {}),
    ],
)
def test_a_bad_calibration_is_rejected_and_writes_nothing(
    stage_folder, recorder, refusal, name, init_args
):
    prepare("breast_cancer")
    folder = train("breast_cancer", "linear")
    section = {"class_path": f"hourglass.detection.{name}", "init_args": init_args}
    set_yaml(stage_folder / "params.yaml", "calibration", value=section)
    named = "k_sigma" if name.endswith("KSigma") else "params.yaml, calibration"
    assert named in refusal(calibrate_threshold, "breast_cancer", "linear")
    assert not folder.with_name("calibrate").exists()


def test_corrupt_or_infinite_weights_set_no_threshold(stage_folder, recorder, refusal):
    prepare("breast_cancer")
    path = train("breast_cancer", "linear") / "weights.safetensors"
    weights, content = load_file(path), path.read_bytes()
    save_file({key: value * np.float32("nan") for key, value in weights.items()}, path)
    refusal(calibrate_threshold, "breast_cancer", "linear")
    path.write_bytes(content[:100])
    refusal(calibrate_threshold, "breast_cancer", "linear")
    assert not path.parent.with_name("calibrate").exists()


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("train", "hourglass train breast_cancer linear"),
        ("calibrate", "hourglass calibrate-threshold breast_cancer linear"),
        ("train/weights.safetensors", "runs/breast_cancer/linear/train"),
        ("train/network.json", "runs/breast_cancer/linear/train"),
        ("calibrate/detector.json", "calibrate it again"),
        ("calibrate/reference.safetensors", "calibrate it again"),
        ("calibrate/threshold.json", "calibrate it again"),
    ],
)
def test_evaluate_names_what_is_missing(stage_folder, recorder, refusal, missing, named):
    calibrated(("breast_cancer", "linear"))
    path = Path("runs/breast_cancer/linear", missing)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert named in refusal(evaluate, "breast_cancer", "linear")
    assert not Path("runs/breast_cancer/linear/evaluate").exists()
