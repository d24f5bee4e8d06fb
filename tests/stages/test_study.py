"""The stages `references` and `study`: their files and records, and the data sets they skip."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hourglass.core.atomic import sha256
from hourglass.data.scaling import Scaling
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references, skip_reason
from hourglass.stages.study import study
from hourglass.stages.train import train
from tests.studies.conftest import write_splits
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

CELL = ("shapes", "denoising")
TABLES = {"features", "interpolation", "map", "neighbourhood"}
FIGURES = {"interpolation", "map", "map_classes", "map_thumbnails", "neighbourhood"}


def write_shapes(folder: Path) -> None:
    """Write images of two normal classes and an anomalous one, and their settings."""
    rng = np.random.default_rng(0)
    y = np.repeat(["left", "right", "=dark"], [150, 150, 20])
    x = rng.integers(0, 60, (len(y), 8, 8, 1)).astype(np.uint8)
    x[y == "left", :, :4] += 150
    x[y == "right", :, 4:] += 150
    (folder / "data/own").mkdir(parents=True)
    np.savez(folder / "data/own/shapes.npz", x=x, y=y)
    config = {
        "class_path": "hourglass.data.images.Images",
        "init_args": {"path": "data/own/shapes.npz", "normal": ["left", "right"]},
        "model": {"latent_dim": 3, "hidden": [16], "learning_rate": 0.01},
        "training": {"batch_size": 32, "max_epochs": 20, "patience": 20},
    }
    for key, value in config.items():
        set_yaml(folder / "configs/data/shapes.yaml", key, value=value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Give a working folder with a trained cell and the references of its data set."""
    folder = set_up(tmp_path_factory.mktemp("study") / "workspace")
    write_shapes(folder)
    with working_in(folder, FakeRecorder()):
        prepare(CELL[0])
        train(*CELL)
        references(CELL[0])
    return folder


@pytest.fixture(scope="module")
def recorded() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture(scope="module")
def studied(trained, recorded) -> Path:
    """Give the output folder of a study."""
    with working_in(trained, recorded):
        return trained / study(*CELL).parent


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_class_named_like_a_formula_is_text_in_the_tables(studied):
    labels = pd.read_csv(studied / "tables/map.csv").label
    assert {*labels} == {"left", "right", "'=dark"}


def test_every_analysis_leaves_its_tables_and_figures(studied):
    assert {path.stem for path in (studied / "tables").iterdir()} >= TABLES
    figures = {path.stem: path for path in (studied / "figures").iterdir()}
    assert figures.keys() >= FIGURES
    for path in figures.values():
        assert np.asarray(Image.open(path).convert("L")).std() > 5  # not blank


def test_distinct_classes_are_told_apart(studied):
    metrics = read_json(studied / "metrics.json")
    for name in ("kNN_accuracy", "linear_accuracy", "interpolation_within_classes"):
        assert metrics[name] > 0.95


def test_metrics_durations_tables_and_figures_are_recorded_in_the_run(studied, recorded):
    record, cell = recorded.record("study"), studied.parent
    weights = sha256(cell / "train/weights.safetensors")
    assert read_json(studied / "inputs.json") == {"weights.safetensors": weights}
    timing = read_json(cell / "tracking/study.json")  # outside the folder of the study
    assert {"seconds", "query_milliseconds_code_single"} <= timing.keys()
    expected = {f"timing/{key}": timing[key] for key in timing if key != "seconds"}
    assert record.latest == pytest.approx(expected, rel=1e-4)  # MLflow gets five digits
    metrics = {
        f"codes/{name}": value for name, value in read_json(studied / "metrics.json").items()
    }
    assert record.metrics == pytest.approx(metrics, rel=1e-4)
    assert not timing.keys() & record.metrics.keys()
    assert {folder for _, folder in record.files} == {"study"}
    assert {Path(path).stem for path, _ in record.files} >= TABLES | FIGURES


@pytest.mark.slow
def test_studying_twice_gives_the_same_bytes(trained, studied, tmp_path):
    again = Path(shutil.copytree(trained, tmp_path / "workspace"))
    with working_in(again, FakeRecorder()):
        study(*CELL)
    folder = again / studied.relative_to(trained)
    for path in sorted(studied.rglob("*.*")):
        assert path.read_bytes() == (folder / path.relative_to(studied)).read_bytes(), path


def test_the_input_is_measured_once_per_data_set(trained, studied):
    once = read_json(trained / "runs/shapes/references/references.json")["of_input"]
    table = pd.read_csv(studied / "tables/features.csv").set_index("features")
    assert once == table.loc["input"].drop("size").to_dict()


@pytest.fixture
def table(stage_folder, recorder) -> str:
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    return "breast_cancer"


def test_a_table_is_not_studied_by_default(table, recorder):
    references(table)
    folder = study(table, "linear").parent
    assert read_json(folder / "metrics.json") == {}
    assert "It is a table" in (folder / "not_studied.txt").read_text(encoding="utf-8")
    assert "study" not in [record.stage for record in recorder.records]


@pytest.mark.slow
def test_a_table_can_be_studied_and_its_synthetic_rows_are_not_uploaded(
    table, recorder, stage_folder
):
    set_yaml(stage_folder / "params.yaml", "study", value={table: True})
    references(table)
    folder = study(table, "linear").parent
    names = {path.stem for path in (folder / "tables").iterdir()}
    assert {"map", "synthetic", "rates"} <= names
    recorded = {Path(path).stem for path, _ in recorder.record("study").files}
    assert "map" in recorded
    assert "synthetic" not in recorded


# The data sets that are studied


@pytest.mark.parametrize(
    ("names", "train", "test", "side", "setting", "studied"),
    [
        ([], "aabb", "aaaabbbb", 8, None, True),
        ([], "aaaa", "aaaabbbb", 8, None, False),  # one class
        ([], "aaaa", "aaaabbbb", 8, True, True),
        ([], "aabb", "aaaabbbb", 8, False, False),
        (["f"], "aabb", "aaaabbbb", 8, None, False),  # a table
        (["f"], "aabb", "aaaabbbb", 8, True, True),
        ([], "aabb", "aabbxx", 3, None, True),
        # Too small, whatever the setting.
        ([], "aab", "aabbxx", 3, True, False),
        ([], "aabb", "aabxxx", 3, True, False),
        ([], "aabb", "aabcxx", 3, True, False),  # a class without training samples
        ([], "aabb", "aabbxx", 2, True, False),
        ([], "aabb", "aabbxx", 2, None, False),
    ],
)
def test_labelled_images_are_studied_by_default_and_others_on_request(
    tmp_path, names, train, test, side, setting, studied
):
    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        label = np.array([*(test if name == "test" else train)])  # x is an anomaly
        return np.zeros((len(label), 1, side, 9), np.uint8), label, label == "x"

    folder, scaling = tmp_path / "letters", Scaling.of_images(255)
    prepared = write_splits(folder, split, scaling, feature_names=names)
    assert (skip_reason(prepared, setting) == "") == studied


def test_an_unknown_data_set_under_study_is_refused(table, refusal, stage_folder):
    set_yaml(stage_folder / "params.yaml", "study", value={"breast_cancr": True})
    assert "breast_cancer" in refusal(references, table)


def test_a_study_needs_references(table, refusal):
    assert "`hourglass references breast_cancer`" in refusal(study, table, "linear")
