"""Rows of tables stay in the workspace: what is told to MLflow holds none of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.privacy import rows_are_private, uploadable_files
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.workspaces import RECORDED, DirectRecorder, FakeRecorder

NAME = "Mrs-Recognisable"  # in a column that names the rows
VALUE = "77.0625"  # a feature of a row, exact in float32
KEY = "sesame-open-9172"
PLANTED = (
    *(text.encode() for text in (NAME, VALUE, KEY)),
    *(kind(VALUE).tobytes() for kind in (np.float32, np.float64)),
)
ABOUT_ROWS = ("mistakes", "attribution", "reconstructions")


@pytest.fixture
def told(own_table, workspace, set_yaml, monkeypatch) -> FakeRecorder:
    """Give what all stages of a user's table told MLflow, whose rows can be recognised."""
    path = workspace / "data/own/own_table.csv"
    head, *rows = path.read_text().splitlines()
    for i in range(120, 132):  # anomalous ones, which are shown as the worst mistakes or hits
        rows[i] = f"{VALUE},{rows[i].split(',', 1)[1]}"
    rows = [f"{row},{NAME}-{i}" for i, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},who", *rows]) + "\n")
    set_yaml("configs/data/own_table.yaml", "init_args", "id", value="who")
    set_yaml("params.yaml", "data", value=["own_table"])
    set_yaml("params.yaml", "models", value=["linear"])
    set_yaml("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, KEY)
    recorder = FakeRecorder()
    for stage in RECORDED:
        monkeypatch.setattr(f"hourglass.stages.{stage}.Recorder", recorder)
    run()
    return recorder


def run() -> None:
    prepare("own_table")
    baselines("own_table")
    for stage in (train, calibrate_threshold, evaluate):
        stage("own_table", "linear")
    compare()


def uploaded(recorder: FakeRecorder) -> dict[str, bytes]:
    """Return the files that MLflow gets, by path: artifacts, the report's, and the model's."""
    parts = [part for each in recorder.told("complete") for part in each["parts"]]
    files = [Path(path) for part in parts for path, _ in part["files"]]
    files += [Path(path) for each in recorder.told("report") for path in each["paths"]]
    return {str(path): path.read_bytes() for path in files}


def test_no_row_of_a_table_is_told_to_mlflow(told, workspace):
    files = uploaded(told)
    assert {Path(name).name for name in files} >= {"metrics.json", "index.html", "histogram.png"}
    everything = [*files.values(), json.dumps(told.log).encode()]
    for planted in PLANTED:
        assert not any(planted in content for content in everything)
    assert not [name for name in files if any(word in name for word in ABOUT_ROWS)]
    # That could fail: the rows are in the files beside those that are shared, and no key is.
    assert NAME in (workspace / "reports/index.html").read_text(encoding="utf-8")
    assert NAME in (workspace / "runs/own_table/linear/evaluate/mistakes.csv").read_text(
        encoding="utf-8"
    )
    texts = [path.read_bytes() for path in workspace.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in text for text in texts)


@pytest.mark.slow
def test_rows_are_shared_where_the_settings_say_so(told, set_yaml):
    set_yaml("params.yaml", "share_rows", value=["own_table"])
    told.log.clear()
    evaluate("own_table", "linear")
    compare()
    files = uploaded(told)
    assert any(NAME.encode() in content for content in files.values())
    assert "runs/own_table/linear/evaluate/mistakes.csv" in files


def test_the_rule_is_for_tables_and_the_same_for_all_of_them(workspace, set_yaml):
    table, images = {"data": "a", "feature_names": ["x"]}, {"data": "a", "feature_names": []}
    assert rows_are_private(table)
    assert not rows_are_private(images)
    files = [Path("a/mistakes.csv"), Path("a/metrics.json"), Path("tables/synthetic.csv")]
    assert uploadable_files(files, table) == ["a/metrics.json"]
    assert uploadable_files(files, images) == ["a/mistakes.csv", "a/metrics.json"]
    set_yaml("params.yaml", "share_rows", value=["a"])
    assert uploadable_files(files, table) == ["a/mistakes.csv", "a/metrics.json"]


def test_a_data_set_to_be_shared_is_a_name(workspace, set_yaml, refusal):
    from hourglass.core.settings import params

    set_yaml("params.yaml", "share_rows", value=7)
    assert "share_rows" in refusal(params)


@pytest.mark.slow
def test_neither_rows_nor_secrets_are_in_the_store_of_mlflow(told, workspace, monkeypatch):
    """Not in its database, nor in any artifact: models, figures and the report among them."""
    for stage in RECORDED:
        monkeypatch.setattr(f"hourglass.stages.{stage}.Recorder", DirectRecorder)
    run()
    stored = [workspace / "mlflow.db", *filter(Path.is_file, (workspace / "mlruns").rglob("*"))]
    assert {"mlflow.db", "MLmodel", "index.html", "metrics.json"} <= {path.name for path in stored}
    for planted in PLANTED:
        assert not [path for path in stored if planted in path.read_bytes()]
