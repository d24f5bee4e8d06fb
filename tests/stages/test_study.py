"""The stages `references` and `study`: what they write and record, and what they leave out."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hourglass.core.checksums import file_checksums
from hourglass.data.prepared import Prepared
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references, unstudied
from hourglass.stages.study import study
from hourglass.stages.train import train
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

CELL = ("shapes", "denoising")
TABLES = {"features", "interpolation", "map", "neighbourhood"}
FIGURES = {"interpolation", "map", "map_classes", "map_thumbnails", "neighbourhood"}


def shapes(folder: Path) -> None:
    """Write images of two normal classes and an anomalous one, and their settings."""
    rng = np.random.default_rng(0)
    y = np.repeat(["left", "right", "dark"], [150, 150, 20])
    x = rng.integers(0, 60, (len(y), 8, 8, 1)).astype(np.uint8)
    x[y == "left", :, :4] += 150
    x[y == "right", :, 4:] += 150
    (folder / "data/own").mkdir(parents=True)
    np.savez(folder / "data/own/shapes.npz", x=x, y=y)
    path = folder / "configs/data/shapes.yaml"
    init_args = {"path": "data/own/shapes.npz", "normal": ["left", "right"]}
    set_yaml(path, "class_path", value="hourglass.data.images.Images")
    set_yaml(path, "init_args", value=init_args)
    set_yaml(path, "model", value={"latent_dim": 3, "hidden": [16], "learning_rate": 0.01})
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": 20, "patience": 20})


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Give a working folder with a trained cell and what its data set's codes are compared with."""
    folder = set_up(tmp_path_factory.mktemp("study") / "workspace")
    shapes(folder)
    with working_in(folder, FakeRecorder()):
        prepare(CELL[0])
        train(*CELL)
        references(CELL[0])
    return folder


@pytest.fixture(scope="module")
def told() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture(scope="module")
def studied(trained, told) -> Path:
    """Give the folder of a study."""
    with working_in(trained, told):
        return trained / study(*CELL).parent


def metrics_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_every_part_leaves_its_tables(studied):
    assert {path.stem for path in (studied / "tables").iterdir()} >= TABLES


def test_every_part_leaves_its_pictures_and_they_show_something(studied):
    pictures = {path.stem: path for path in (studied / "figures").iterdir()}
    assert pictures.keys() >= FIGURES
    for path in pictures.values():
        assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_classes_that_a_glance_tells_apart_are_told_apart(studied):
    metrics = metrics_of(studied)
    assert metrics["kNN_accuracy"] > 0.95
    assert metrics["linear_accuracy"] > 0.95
    assert metrics["interpolation_within_classes"] > 0.95


def test_metrics_and_times_are_recorded_in_the_cells_own_run(studied, told, trained):
    record = told.record("study")
    times = trained / "runs" / Path(*CELL) / "tracking/study.json"
    timing = json.loads(times.read_text(encoding="utf-8"))
    del timing["seconds"]
    assert record.latest == timing
    assert record.metrics == metrics_of(studied)  # a run that holds others is not taken


def test_tables_and_pictures_are_recorded_together(studied, told):
    files = told.record("study").files
    assert {folder for _, folder in files} == {"study"}
    assert {path.stem for path, _ in files} >= TABLES | FIGURES


@pytest.mark.slow
def test_studying_twice_gives_the_same_bytes(trained, studied, tmp_path):
    again = Path(shutil.copytree(trained, tmp_path / "workspace"))
    with working_in(again, FakeRecorder()):
        study(*CELL)
    folder = again / studied.relative_to(trained)
    for path in sorted(studied.rglob("*.*")):
        if path.name != "timing.json":
            assert path.read_bytes() == (folder / path.relative_to(studied)).read_bytes(), path


def test_the_input_is_compared_with_as_it_was_measured_once(trained, studied):
    path = trained / "runs/shapes/references/references.json"
    once = json.loads(path.read_text(encoding="utf-8"))["of_input"]
    table = pd.read_csv(studied / "tables/features.csv").set_index("features")
    assert once == table.loc["input"].drop("size").to_dict()


@pytest.fixture
def table(stage_folder, recorder) -> str:
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    return "breast_cancer"


def test_a_table_is_studied_only_where_it_is_asked_for(table, recorder):
    references(table)
    folder = study(table, "linear").parent
    assert metrics_of(folder) == {}
    assert "It is a table" in (folder / "figures/not_studied.txt").read_text(encoding="utf-8")
    assert not [record for record in recorder.records if record.stage == "study"]


@pytest.mark.slow
def test_a_table_that_is_asked_for_has_a_map_and_synthetic_rows(table, recorder, stage_folder):
    set_yaml(stage_folder / "params.yaml", "study", value={table: True})
    references(table)
    folder = study(table, "linear").parent
    names = {path.stem for path in (folder / "tables").iterdir()}
    assert {"map", "synthetic", "rates"} <= names
    recorded = {path.stem for path, _ in recorder.record("study").files}
    assert "map" in recorded
    assert "synthetic" not in recorded


def prepared(
    folder: Path, feature_names: list[str], train: str, test: str = "aaaabbbb", side: int = 8
) -> Prepared:
    """Give a data set whose splits have these labels, a letter a sample; anomalies are called x."""
    for split, labels in {"train": train, "test": test}.items():
        (folder / split).mkdir()
        values = np.array([*labels])
        arrays = {"x": values, "label": values, "id": values, "anomaly": values == "x"}
        for name, array in arrays.items():
            np.save(folder / split / f"{name}.npy", array)
    files = file_checksums(
        folder, [str(path.relative_to(folder)) for path in folder.rglob("*.npy")]
    )
    card = {"feature_names": feature_names, "sample_shape": [1, side, 9], "files": files}
    return Prepared(folder, card)


@pytest.mark.parametrize(
    ("names", "labels", "asked", "expected"),
    [
        ([], "aabb", None, True),
        ([], "aaaa", None, False),
        ([], "aaaa", True, True),
        ([], "aabb", False, False),
        (["f"], "aabb", None, False),
        (["f"], "aabb", True, True),
    ],
)
def test_labelled_images_are_studied_and_what_is_asked_for(
    tmp_path, names, labels, asked, expected
):
    assert (unstudied(prepared(tmp_path, names, labels), asked) == "") == expected


@pytest.mark.parametrize(
    ("train", "test", "side", "expected"),
    [
        ("aabb", "aabbxx", 3, True),
        ("aab", "aabbxx", 3, False),
        ("aabb", "aabxxx", 3, False),
        ("aabb", "aabcxx", 3, False),  # a class that training does not have
        ("aabb", "aabbxx", 2, False),
    ],
)
@pytest.mark.parametrize("asked", [None, True])
def test_what_is_too_small_is_not_studied_even_where_it_is_asked_for(
    tmp_path, train, test, side, expected, asked
):
    assert (unstudied(prepared(tmp_path, [], train, test, side), asked) == "") == expected


def test_a_name_under_study_that_is_no_data_set_is_refused(table, refusal, stage_folder):
    set_yaml(stage_folder / "params.yaml", "study", value={"breast_cancr": True})
    assert "breast_cancer" in refusal(references, table)


def test_a_study_needs_its_references(table, refusal):
    assert "`hourglass references breast_cancer`" in refusal(study, table, "linear")


def test_a_study_needs_a_trained_cell(stage_folder, refusal):
    assert "`hourglass train digits linear`" in refusal(study, "digits", "linear")
