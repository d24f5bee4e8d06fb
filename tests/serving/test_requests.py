"""Parsing of request bodies, without a server."""

import io
import itertools
import json
import sys
import time
from http import HTTPStatus
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass.networks import Dense
from hourglass.serving import requests
from hourglass.serving.pyfunc import DetectorModel, _load_pyfunc
from hourglass.serving.server import respond
from tests.detection.detectors import detector, normal

NAMES = ["f0", "f1", "f2", "f3"]
JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
PARQUET = "application/vnd.apache.parquet"
ROWS, PICTURES = normal((4,), 3), normal((1, 6, 5), 3)
PICTURES[0, 0, 0, :2] = 0, 255
FRAME = pd.DataFrame(ROWS, columns=NAMES).astype(np.float64)
RECORDS = FRAME.to_dict("records")
MIXED = FRAME[NAMES[::-1]].assign(name="a card", when=pd.Timestamp("2026-01-01"))


@pytest.fixture(scope="module")
def table() -> DetectorModel:
    torch.manual_seed(0)
    return DetectorModel(detector(Dense([4], 2)))


@pytest.fixture(scope="module")
def images() -> DetectorModel:
    torch.manual_seed(0)
    return DetectorModel(detector(Dense(PICTURES.shape[1:], 2)))


def as_json(**content: Any) -> bytes:
    return json.dumps(content).encode()


def split(columns: Any = NAMES, rows: Any = None) -> bytes:
    data = ROWS.tolist() if rows is None else rows
    return as_json(dataframe_split={"columns": columns, "data": data})


def npy(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


GOOD_TABLES = {
    "names and rows": (split(), JSON),
    "in another order, with text between": (
        split([*NAMES[::-1], "name"], [[*row[::-1], "a card"] for row in ROWS.tolist()]),
        JSON,
    ),
    "an object per row": (as_json(dataframe_records=RECORDS), JSON),
    "instances": (as_json(instances=RECORDS), JSON),
    "rows alone": (as_json(instances=ROWS.tolist()), JSON),
    "columns": (as_json(inputs=FRAME.to_dict("list")), JSON),
    "numbers in quotes": (split(rows=FRAME.astype(str).to_numpy().tolist()), JSON),
    "no parameters": (as_json(inputs=ROWS.tolist(), params={}), JSON),
    "CSV": (MIXED.to_csv(index=False).encode(), "text/csv; charset=utf-8"),
    "Parquet": (MIXED.to_parquet(), PARQUET),
    "an array": (npy(ROWS), NPY),
}


@pytest.mark.parametrize("form", GOOD_TABLES)
def test_a_table_is_read_in_every_format(table, form):
    predictions = json.loads(respond(table, *GOOD_TABLES[form]).response)["predictions"]
    assert predictions == pd.DataFrame(table.columns(ROWS)).to_dict("records")
    assert list(predictions[0]) == ["score", "threshold", "alarm", "p_value"]


GOOD_IMAGES = {
    "channels first": (as_json(inputs=PICTURES.tolist()), JSON),
    "channels last": (as_json(instances=PICTURES.transpose(0, 2, 3, 1).tolist()), JSON),
    "grey": (as_json(inputs=PICTURES[:, 0].tolist()), JSON),
    "an array": (npy(PICTURES), NPY),
}


@pytest.mark.parametrize("form", GOOD_IMAGES)
def test_images_are_read_in_every_layout(images, form):
    x = requests.parse_request(*GOOD_IMAGES[form], images.detector)
    np.testing.assert_array_equal(x, PICTURES)
    assert x.dtype == np.uint8


def test_predictions_equal_those_of_the_detector(table):
    predictions, detector = table.predict(FRAME[NAMES[::-1]]), table.detector
    scores = predictions.score.to_numpy()
    np.testing.assert_array_equal(scores, detector.scoring(ROWS))
    np.testing.assert_array_equal(predictions.p_value, detector.p_values(scores))
    assert (predictions.threshold == detector.threshold.value).all()
    assert predictions.alarm.tolist() == (scores > detector.threshold.value).tolist()


def test_column_names_that_are_numbers_match_features_of_that_name(table, monkeypatch):
    monkeypatch.setitem(table.detector.inputs, "feature_names", ["0", "1", "2", "3"])
    for x in (
        requests.parse_request(split(columns=[0, 1, 2, 3]), JSON, table.detector),
        requests.to_samples(FRAME.set_axis(range(4), axis=1), table.detector),
    ):
        np.testing.assert_array_equal(x, ROWS)


def with_value(value: Any) -> list[list[Any]]:
    """Return the rows with another value of f2 in row 2."""
    rows: list[list[Any]] = ROWS.tolist()
    rows[1][2] = value
    return rows


def with_column(value: Any) -> bytes:
    return as_json(inputs={**FRAME.to_dict("list"), "f2": value})


BAD_TABLES = [
    (split(NAMES[1:], ROWS[:, 1:].tolist()), "no column 'f0'"),
    (split(["f_0", *NAMES[1:]]), "did you mean"),
    (split(["f0", "f0", *NAMES[1:]], [[1] * 5]), "two columns named 'f0'"),
    (split([["f0"], ["f1"], [], {}]), "no column 'f0'"),
    (split(rows=[[1, 2, 3, 4], [1, 2]]), "row 2 of the request holds 2 values"),
    (split(rows=with_value(None)), "'f2' of the request is empty or not finite in row 2"),
    (split(rows=with_value("nan")), "is empty or not finite in row 2"),
    (split(rows=with_value(1e39)), "is empty or not finite in row 2"),
    (split(rows=with_value(1e38)), "row 2 of the request holds values too large"),
    (split(rows=with_value("wide")), "'f2' of the request holds 'wide' in row 2"),
    (split(rows=with_value([1])), "holds [1] in row 2"),
    (split(rows=with_value({})), "holds {} in row 2"),
    (split(rows=with_value(float("nan"))), "cannot be read"),  # JSON has no NaN
    (split(rows=with_value(float("inf"))), "cannot be read"),
    (split(rows=with_value(10**400)), "cannot be read"),
    (split(rows=[]), "holds no samples"),
    (split(columns=3), "cannot be read"),
    (as_json(inputs=with_value("wide")), "holds 'wide' in row 2"),
    (as_json(inputs=[[1, 2]]), "holds 2 values for 4 columns"),
    (as_json(inputs={}), "holds no samples"),
    (as_json(inputs={name: [] for name in NAMES}), "holds no samples"),
    (as_json(inputs=dict.fromkeys(NAMES, 3)), "is not a list"),
    (as_json(inputs=[*RECORDS, 7]), "row 4 of the request holds"),
    (as_json(inputs="abc"), "neither a list nor an object"),
    (as_json(inputs=[], params={"a": 1}), "'params'"),
    (as_json(inputs=[], instances=[]), "'inputs', 'instances'"),
    (as_json(instances=[*RECORDS, {"f0": 1}]), "finite in row 4"),
    (as_json(instances=[1, 2]), "row 1 of the request holds 1"),
    (as_json(rows=[]), "holds 'rows', not one of"),
    (as_json(dataframe_split=[1]), "not an object with columns and data"),
    (with_column([1]), "differ in length"),
    (with_column(""), "'f2' of the request is not a list"),
    (with_column({}), "'f2' of the request is not a list"),
    (with_column({"1": 2}), "'f2' of the request is not a list"),
    (with_column([[1], [2], [3]]), "'f2' of the request is not a list"),
    (b"[1, 2]", "not a JSON object"),
    (b"", "cannot be read"),
    (b'{"inputs": [[1,', "cannot be read"),
    (b'{"inputs": "\xff\xfe"}', "cannot be read"),
    (b'{"inputs":' + b"[" * 100_000, "cannot be read"),
    (b'{"inputs":' + b"9" * 5000 + b"}", "cannot be read"),
]
BAD_IMAGES = [
    (as_json(inputs=(PICTURES / 255).tolist()), "not scaled"),
    (as_json(inputs=(PICTURES.astype(int) + 1).tolist()), "to 256"),
    (as_json(inputs=(PICTURES.astype(int) - 1).tolist()), "from -1"),
    (as_json(inputs=PICTURES[:, :, :5].tolist()), "takes 1x6x5"),
    (as_json(inputs=[[[[1]]], [[[1, 2]]]]), "differ in size"),
    (as_json(inputs=[[[[None]]]]), "uint8"),
    (split(), "takes images"),
]


@pytest.mark.parametrize(
    ("kind", "body", "named"),
    [("table", *case) for case in BAD_TABLES] + [("images", *case) for case in BAD_IMAGES],
    ids=itertools.count(),
)
def test_unusable_samples_are_refused_in_one_sentence(request, kind, body, named):
    model = request.getfixturevalue(kind)
    assert named in message(respond(model, body, JSON), HTTPStatus.BAD_REQUEST)


def message(response: Any, status: HTTPStatus) -> str:
    """Return the message of a refused request, and check that it is one sentence."""
    assert response.status == status
    content = json.loads(response.response)
    sentence: str = content["message"]
    assert content["error_code"] == status.name
    assert sentence.endswith(".")
    assert not any(text in sentence for text in (". ", "\n", "Traceback"))
    return sentence


def npy_header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


DAMAGED = [
    b"",
    b"abc",
    npy_header(b"(" * 9000),
    npy_header(b"{'descr': '<f4', 'shape': "),
    npy_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1 << 40, 4)}"),
    npy_header(b"{'descr': '<f4', 'fortran_order': True, 'shape': (9999999999, 99999999), }"),
]


@pytest.mark.parametrize("kind", [CSV, PARQUET, NPY])
def test_a_damaged_file_is_refused_in_one_sentence(table, kind):
    (body,) = [body for body, of in GOOD_TABLES.values() if of.startswith(kind)]
    for damaged in (*DAMAGED, body[: len(body) // 2]):
        assert "request" in message(respond(table, damaged, kind), HTTPStatus.BAD_REQUEST)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "1"]), values)
    ),
    max_leaves=12,
)
COLUMNS = st.fixed_dictionaries(dict.fromkeys(NAMES, JSON_VALUES))
CONTENTS = st.dictionaries(
    st.sampled_from(requests.JSON_FORMATS), JSON_VALUES | COLUMNS, max_size=1
)
BODIES = st.one_of(
    st.tuples(CONTENTS.map(lambda content: as_json(**content)), st.just(JSON)),
    st.tuples(st.binary(max_size=80), st.sampled_from([JSON, CSV, PARQUET])),
    st.tuples(st.binary(max_size=80).map(npy_header), st.just(NPY)),
)


@given(body=BODIES)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_body_is_answered_or_refused_in_one_sentence(table, images, body):
    for model in (table, images):
        response = respond(model, *body)
        if response.status != HTTPStatus.OK:
            message(response, HTTPStatus.BAD_REQUEST)


def test_objects_with_a_key_each_take_time_in_proportion_to_their_number(table):
    rows = [{f"key{number}": 1} for number in range(20_000)]
    start = time.process_time()
    response = respond(table, as_json(dataframe_records=rows), JSON)
    assert "no column 'f0'" in message(response, HTTPStatus.BAD_REQUEST)
    assert time.process_time() - start < 2


def test_a_small_parquet_file_that_declares_a_large_table_is_refused_unread(table):
    body = pd.DataFrame(np.zeros((3_000_000, 4)), columns=NAMES).to_parquet()
    assert len(body) < 100_000
    start = time.process_time()
    response = respond(table, body, PARQUET)
    assert "3,000,000 rows" in message(response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("kind", [None, "", "text/html", f"{JSON}; charset=latin-1"])
def test_another_media_type_is_refused(table, kind):
    message(respond(table, split(), kind), HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def test_a_request_that_is_too_large_is_refused(table, monkeypatch):
    monkeypatch.setattr(requests, "MAX_REQUEST_BYTES", 20)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "at most 20" in message(respond(table, split(), JSON), status)


def test_predict_raises_the_message_as_an_mlflow_error(table):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"no column 'f0'.*any order\.$") as caught:
        table.predict(FRAME.drop(columns="f0"))
    assert caught.value.get_http_status_code() == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("is_server", [True, False])
def test_only_a_scoring_server_gets_the_request_handler(table, monkeypatch, is_server):
    from mlflow.pyfunc import scoring_server

    before = scoring_server.invocations
    monkeypatch.setattr(scoring_server, "invocations", before)  # restored in the end
    monkeypatch.setattr("hourglass.serving.pyfunc.Detector.load", lambda folder: table.detector)
    if is_server:
        name = "mlflow.pyfunc.scoring_server.app"
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    _load_pyfunc("somewhere")
    assert (scoring_server.invocations is not before) is is_server
    if is_server:
        response = scoring_server.invocations(split(), JSON, None, None).response
        assert len(json.loads(response)["predictions"]) == len(ROWS)
