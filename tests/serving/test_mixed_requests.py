"""Requests with text, truth values, dates and missing cells."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from hourglass.core.errors import UserError
from hourglass.serving.pyfunc import DetectorModel
from hourglass.serving.request_limits import Limits
from hourglass.serving.request_samples import to_samples
from hourglass.serving.server import respond
from tests.mixed_tables import mixed_columns, mixed_detector, mixed_frame

JSON, CSV = "application/json", "text/csv"
PARQUET = "application/vnd.apache.parquet"
FRAME = mixed_frame(40, 7)


@pytest.fixture(scope="module")
def model() -> DetectorModel:
    return DetectorModel(mixed_detector())


def records(frame: pd.DataFrame) -> list[dict]:
    rows: list[dict] = json.loads(frame.to_json(orient="records", date_format="iso"))
    return rows


def parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


FORMS = {
    "records": (json.dumps({"dataframe_records": records(FRAME)}).encode(), JSON),
    "columns": (
        json.dumps(
            {"inputs": {name: [r[name] for r in records(FRAME)] for name in FRAME}}
        ).encode(),
        JSON,
    ),
    "split": (
        json.dumps(
            {
                "dataframe_split": {
                    "columns": list(FRAME),
                    "data": [[*r.values()] for r in records(FRAME)],
                }
            }
        ).encode(),
        JSON,
    ),
    "CSV": (FRAME.to_csv(index=False).encode(), CSV),
    "semicolons, decimal commas": (
        FRAME.to_csv(index=False, sep=";", decimal=",").encode("utf-16"),
        CSV,
    ),
    "Parquet": (parquet(FRAME), PARQUET),
    "Parquet with categories": (parquet(FRAME.astype({"service": "category"})), PARQUET),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mixed_table_has_the_scores_of_the_detector_in_every_format(model, form):
    response = respond(model, *FORMS[form])
    predictions = pd.DataFrame(json.loads(response.response)["predictions"])
    expected = model.predict(FRAME)
    np.testing.assert_allclose(predictions.score, expected.score, rtol=1e-6)
    assert predictions.reasons.tolist() == expected.reasons.tolist()


def test_an_unseen_category_is_an_alarm_with_its_text_as_the_reason(model):
    rows = records(FRAME[:3])
    rows[1]["service"] = "tftp"
    body = json.dumps({"dataframe_records": rows}).encode()
    predictions = json.loads(respond(model, body, JSON).response)["predictions"]
    assert predictions[1]["alarm"]
    assert 'service = "tftp", expected' in predictions[1]["reasons"]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [("amount", "many", "a number"), ("when", "yesterday", "a date"), ("member", 7, "a truth")],
)
def test_a_cell_of_another_kind_is_refused_by_column_and_row(model, column, value, expected):
    rows = records(FRAME[:3])
    rows[2][column] = value
    response = respond(model, json.dumps({"dataframe_records": rows}).encode(), JSON)
    message = json.loads(response.response)["message"]
    assert repr(column) in message
    assert "in row 3" in message
    assert expected in message


def test_an_optional_column_may_be_absent_and_is_missing_then():
    detector = mixed_detector(optional=("TSH",))
    absent = to_samples(FRAME.drop(columns="TSH"), detector, Limits())
    missing = to_samples(FRAME.assign(TSH=np.nan), detector, Limits())
    np.testing.assert_array_equal(absent.x, missing.x)
    some = [
        {k: v for k, v in row.items() if i or k != "TSH"} for i, row in enumerate(records(FRAME))
    ]
    samples = to_samples(some, detector, Limits())
    assert np.isnan(samples.x[0, list(FRAME).index("TSH")])
    with pytest.raises(UserError, match="no column 'amount'"):
        to_samples(FRAME.drop(columns="amount"), detector, Limits())


def test_the_signature_names_the_types_of_columns_and_the_optional_ones(tmp_path):
    import mlflow

    from hourglass.tracking.logged_model import example, signature

    detector = mixed_detector(optional=("TSH",))
    card = {**detector.inputs, "columns": [c.to_dict() for c in mixed_columns(("TSH",))]}
    types = signature(card).inputs
    kinds = {name: str(spec.type) for name, spec in types.input_dict().items()}
    assert kinds["amount"] == "DataType.double"
    assert kinds["service"] == kinds["member"] == "DataType.string"
    assert types.optional_input_names() == ["TSH"]
    detector.save(tmp_path / "detector")
    usual = example(card, to_samples(FRAME, detector, Limits()).x)
    mlflow.pyfunc.save_model(
        path=str(tmp_path / "model"),
        loader_module="hourglass.serving.pyfunc",
        data_path=str(tmp_path / "detector"),
        signature=signature(card),
        input_example=None,
    )
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    expected = DetectorModel(detector).predict(FRAME)
    pd.testing.assert_frame_equal(model.predict(FRAME), expected)
    pd.testing.assert_frame_equal(model.predict(FRAME.astype({"when": str})), expected)
    assert len(model.predict(usual)) == 1


def test_a_list_of_rows_is_predicted_in_python(model):
    found = model.predict(records(FRAME))
    assert found.index.tolist() == list(range(len(FRAME)))
    np.testing.assert_allclose(found["score"], model.predict(FRAME)["score"], rtol=1e-6)
