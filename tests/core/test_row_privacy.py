"""Rows of tables stay in the workspace: the record in MLflow holds none of them."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.row_privacy import rows_are_private, uploadable_files
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.tracking.record import REPORT_FILES
from tests.workspaces import DirectRecorder, FakeRecorder, working_in

NAME = "Mrs-Recognisable"  # in a column that names the rows
VALUE = "77.0625"  # a feature of a row, exact in float32
KEY = "sesame-open-9172"
PLANTED = (
    *(text.encode() for text in (NAME, VALUE, KEY)),
    *(kind(VALUE).tobytes() for kind in (np.float32, np.float64)),
)
ABOUT_ROWS = ("mistakes", "attribution", "reconstructions")


@pytest.fixture
def recorded(own_table, workspace, set_yaml, monkeypatch, recorder) -> FakeRecorder:
    """Give the record of all stages of a user's table, whose rows can be recognised."""
    path = workspace / "data/own/own_table.csv"
    head, *rows = path.read_text().splitlines()
    for i in range(120, 132):  # anomalies, which are among the worst mistakes or best hits
        rows[i] = f"{VALUE},{rows[i].split(',', 1)[1]}"
    rows = [f"{row},{NAME}-{i}" for i, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},who", *rows]) + "\n")
    set_yaml("configs/data/own_table.yaml", "init_args", "id", value="who")
    set_yaml("params.yaml", "data", value=["own_table"])
    set_yaml("params.yaml", "models", value=["linear"])
    set_yaml("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, KEY)
    run_stages()
    return recorder


def run_stages() -> None:
    prepare("own_table")
    baselines("own_table")
    for stage in (train, calibrate_threshold, evaluate):
        stage("own_table", "linear")
    compare()


def uploaded(recorder: FakeRecorder) -> dict[str, bytes]:
    """Return the files that MLflow gets by path: artifacts, the model's and the comparison's."""
    files = [path for record in recorder.records for path, _ in record.files]
    files += [path for record in recorder.records for path in record.detector]
    return {str(path): path.read_bytes() for path in (*files, *REPORT_FILES)}


def test_no_row_of_a_table_is_recorded(recorded, workspace):
    files = uploaded(recorded)
    assert {Path(name).name for name in files} >= {"metrics.json", "index.html", "histogram.png"}
    everything = [*files.values(), *(str(asdict(each)).encode() for each in recorded.records)]
    for planted in PLANTED:
        assert not any(planted in content for content in everything)
    assert not [name for name in files if any(word in name for word in ABOUT_ROWS)]
    # The test could fail: other files of the workspace hold the rows. None holds the key.
    for name in ("reports/index.html", "runs/own_table/linear/evaluate/mistakes.csv"):
        assert NAME in (workspace / name).read_text(encoding="utf-8")
    texts = [path.read_bytes() for path in workspace.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in text for text in texts)


@pytest.mark.slow
def test_rows_are_recorded_if_the_settings_name_the_table(recorded, set_yaml):
    set_yaml("params.yaml", "share_rows", value=["own_table"])
    recorded.records.clear()
    evaluate("own_table", "linear")
    compare()
    files = uploaded(recorded)
    assert any(NAME.encode() in content for content in files.values())
    assert "runs/own_table/linear/evaluate/mistakes.csv" in files


def test_the_rule_is_for_tables_and_the_same_for_all_of_them(workspace, set_yaml, refusal):
    table, images = {"data": "a", "feature_names": ["x"]}, {"data": "a", "feature_names": []}
    assert rows_are_private(table)
    assert not rows_are_private(images)
    files = [Path("a/mistakes.csv"), Path("a/metrics.json"), Path("tables/synthetic.csv")]
    assert uploadable_files(files, table) == ["a/metrics.json"]
    assert uploadable_files(files, images) == ["a/mistakes.csv", "a/metrics.json"]
    set_yaml("params.yaml", "share_rows", value=["a"])
    assert uploadable_files(files, table) == ["a/mistakes.csv", "a/metrics.json"]
    set_yaml("params.yaml", "share_rows", value=7)
    assert "share_rows" in refusal(rows_are_private, table)


@pytest.mark.slow
def test_neither_rows_nor_secrets_are_in_the_store_of_mlflow(recorded, workspace):
    """Neither in its database nor in an artifact: models, figures and the report among them."""
    with working_in(workspace, DirectRecorder):
        run_stages()
    stored = [workspace / "mlflow.db", *filter(Path.is_file, (workspace / "mlruns").rglob("*"))]
    assert {"mlflow.db", "MLmodel", "index.html", "metrics.json"} <= {path.name for path in stored}
    for planted in PLANTED:
        assert not [path for path in stored if planted in path.read_bytes()]
