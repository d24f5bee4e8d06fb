"""The logged model: it has the detector's scores, a schema, no pickle, and loads anywhere."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass.core.paths import Cell
from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import detector_files
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.tracking.logged_model import example, signature
from hourglass.tracking.stage_records import read_cell
from tests.tracking.stored import CELL, make_workspace, rows
from tests.workspaces import DirectRecorder, Project, working_in


@pytest.fixture(scope="module")
def pyfunc(workspace, first) -> Any:
    """Give the logged model as a user of MLflow loads it."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{workspace}/mlflow.db")
    (model,) = first.models
    return mlflow.pyfunc.load_model(f"models:/{model}")


def expected_scores(folder, data: str, model: str) -> pd.DataFrame:
    scores = pd.read_parquet(folder / f"runs/{data}/{model}/evaluate/scores.parquet")
    return scores[scores.split == "test"]


def test_its_files_are_those_of_the_detector(workspace):
    with working_in(workspace):
        (files,) = (each.detector for each in read_cell(Cell(*CELL)).stages if each.detector)
        assert sorted(files) == sorted(detector_files(Cell(*CELL)))


def test_it_has_a_signature_and_an_example(pyfunc):
    assert pyfunc.metadata.signature.inputs
    outputs = pyfunc.metadata.signature.outputs.input_names()
    assert outputs == ["score", "threshold", "alarm", "p_value"]
    assert len(pyfunc.predict(pyfunc.input_example)) == 1


def test_it_gives_the_scores_of_the_evaluation(workspace, pyfunc):
    expected = expected_scores(workspace, *CELL)
    prepared = Prepared.open(workspace / "data/prepared/digits")
    found = pyfunc.predict(np.array(prepared.split("test").x))
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-6)
    assert found.alarm.tolist() == expected.alarm.tolist()


def test_it_refuses_samples_of_another_shape(pyfunc):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException):
        pyfunc.predict(np.zeros((2, 1, 9, 9), np.uint8))


def test_it_holds_no_pickle(workspace):
    suffixes = {path.suffix for path in (workspace / "mlruns/models").rglob("*") if path.is_file()}
    assert ".safetensors" in suffixes
    assert not suffixes & {".pkl", ".pickle", ".pt", ".pth", ".ckpt"}


def test_it_answers_its_example_as_a_server_sends_it(pyfunc):
    """MLflow's own validation of this is turned off when a model is logged."""
    from mlflow.models import convert_input_example_to_serving_input
    from mlflow.pyfunc.scoring_server import _parse_json_data

    request = convert_input_example_to_serving_input(pyfunc.input_example)
    sent = _parse_json_data(request, pyfunc.metadata, pyfunc.metadata.get_input_schema())
    (score,) = pyfunc.predict(sent.data).score
    assert score >= 0


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "convolutional"])
def test_that_of_a_table_takes_a_frame_with_named_columns(tmp_path, model):
    import mlflow

    folder = make_workspace(tmp_path / "workspace", "breast_cancer")
    with working_in(folder, DirectRecorder):
        train("breast_cancer", model)
        calibrate_threshold("breast_cancer", model)
        evaluate("breast_cancer", model)
    (row,) = rows(folder)
    pyfunc = mlflow.pyfunc.load_model(f"models:/{row.models[0]}")
    prepared = Prepared.open(folder / "data/prepared/breast_cancer")
    frame = pd.DataFrame(prepared.split("test").x, columns=prepared.card["feature_names"])
    found = pyfunc.predict(frame[frame.columns[::-1]])  # by name, not by position
    expected = expected_scores(folder, "breast_cancer", model)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-6)
    assert len(pyfunc.predict(pyfunc.input_example)) == 1


@pytest.mark.slow
def test_columns_of_every_kind_fit_the_signature():
    """MLflow compares the example with the signature when a model is logged, and each request."""
    from mlflow.models.utils import _enforce_schema

    columns = [
        Column("flow"),
        Column("site", "categorical", levels=("a", "b")),
        Column("port", "categorical", levels=("22", "80")),
        Column("member", "boolean", levels=("no", "yes")),
        Column("running", "boolean", levels=("False", "True")),
        Column("when", "datetime", parts=("hour",)),
    ]
    card = {"columns": [vars(column) for column in columns]}
    usual = example(card, np.full((3, len(columns)), 1.0, np.float32))
    frames = [usual, *(usual.assign(running=[value]) for value in (True, None))]
    for frame in frames:
        assert len(_enforce_schema(frame, signature(card).inputs)) == 1


def test_one_that_was_cut_short_is_logged_again(stage_folder, monkeypatch, capsys):
    import mlflow

    with working_in(stage_folder, DirectRecorder):
        prepare("digits")
        train("digits", "linear")
        with monkeypatch.context() as broken:
            broken.setattr("mlflow.pyfunc.save_model", lambda **_: 1 / 0)
            calibrate_threshold("digits", "linear")
        assert "ZeroDivisionError" in capsys.readouterr().err
        calibrate_threshold("digits", "linear")
    (row,) = rows(stage_folder)
    found = [mlflow.get_logged_model(each).status for each in row.models]
    assert sorted(found) == ["FAILED", "READY"]


@pytest.mark.slow
def test_it_loads_without_the_package_from_the_code_logged_with_it(workspace, first, tmp_path):
    program = (
        "import sys, mlflow, numpy\n"
        "sys.modules.pop('hourglass', None)\n"
        "sys.meta_path = [each for each in sys.meta_path if 'editable' not in repr(each).lower()]\n"
        "sys.path = [each for each in sys.path if not each.endswith('/src')]\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "import hourglass\n"
        "assert 'artifacts' in hourglass.__file__, hourglass.__file__\n"
        "print(model.predict(numpy.zeros((2, 1, 8, 8), numpy.uint8)).shape)\n"
    )
    found = Project(tmp_path).run(
        "python", "-c", program, f"models:/{first.models[0]}",
        MLFLOW_TRACKING_URI=f"sqlite:///{workspace}/mlflow.db",
    )  # fmt: skip
    assert found.stdout.splitlines()[-1] == "(2, 4)"
