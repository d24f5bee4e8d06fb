"""Parsing of request bodies, without a server."""

import asyncio
import base64
import gzip
import io
import itertools
import json
import sys
import time
import tracemalloc
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from starlette.requests import Request

from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.detection.calibrators.conformal import p_values
from hourglass.networks import Dense
from hourglass.serving.pyfunc import DetectorModel, _load_pyfunc
from hourglass.serving.request_images import MEDIA_TYPES
from hourglass.serving.request_limits import BYTES_VARIABLE, PIXELS_VARIABLE, ROWS_VARIABLE, Limits
from hourglass.serving.request_samples import to_samples
from hourglass.serving.requests import JSON_FORMATS, parse_request
from hourglass.serving.server import install, respond
from tests.detection.detectors import detector, normal

CASES = Path(__file__).parents[1] / "cases/serving"
NAMES = ["f0", "f1", "f2", "f3"]
JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
PARQUET = "application/vnd.apache.parquet"
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
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


@pytest.fixture(scope="module")
def wide_table() -> DetectorModel:
    """Give a model of a table with the columns of tests/cases/serving/ok.csv."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(300, 30))
    wide = detector(Dense([30], 2), samples=lambda shape, count, seed: x[:count])
    names = (CASES / "ok.csv").read_text().splitlines()[0].split(",")
    wide.inputs["columns"] = [Column(name).to_dict() for name in names]
    return DetectorModel(wide)


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
    samples = to_samples(ROWS, table.detector, Limits())
    assert predictions == pd.DataFrame(table.columns(samples)).to_dict("records")
    assert list(predictions[0]) == ["score", "threshold", "alarm", "p_value", "reasons"]


GOOD_IMAGES = {
    "channels first": (as_json(inputs=PICTURES.tolist()), JSON),
    "channels last": (as_json(instances=PICTURES.transpose(0, 2, 3, 1).tolist()), JSON),
    "grey": (as_json(inputs=PICTURES[:, 0].tolist()), JSON),
    "an array": (npy(PICTURES), NPY),
}


@pytest.mark.parametrize("form", GOOD_IMAGES)
def test_images_are_read_in_every_layout(images, form):
    x = parse_request(*GOOD_IMAGES[form], images.detector).samples.x
    np.testing.assert_array_equal(x, PICTURES)
    assert x.dtype == np.uint8


def test_predictions_equal_those_of_the_detector(table):
    predictions, detector = table.predict(FRAME[NAMES[::-1]]), table.detector
    scores = predictions.score.to_numpy()
    np.testing.assert_array_equal(scores, detector.scoring(ROWS))
    expected = p_values(detector.calibration_scores, scores)
    np.testing.assert_array_equal(predictions.p_value, expected)
    assert (predictions.threshold == detector.threshold.value).all()
    assert predictions.alarm.tolist() == (scores > detector.threshold.value).tolist()


def test_column_names_that_are_numbers_match_features_of_that_name(table, monkeypatch):
    monkeypatch.setitem(vars(table.detector), "columns", [Column(name) for name in "0123"])
    for samples in (
        parse_request(split(columns=[0, 1, 2, 3]), JSON, table.detector).samples,
        to_samples(FRAME.set_axis(range(4), axis=1), table.detector, Limits()),
    ):
        np.testing.assert_array_equal(samples.x, ROWS)


def with_value(value: Any) -> list[list[Any]]:
    """Return the rows with another value of f2 in row 2."""
    rows: list[list[Any]] = ROWS.tolist()
    rows[1][2] = value
    return rows


@pytest.mark.parametrize("value", [None, "", "NaN", "?"])
def test_a_missing_cell_is_scored_as_in_training(table, value):
    body = split(rows=with_value(value))
    expected = ROWS.copy()
    expected[1, 2] = np.nan
    predictions = json.loads(respond(table, body, JSON).response)["predictions"]
    scores = [row["score"] for row in predictions]
    np.testing.assert_array_equal(scores, table.detector.scoring(expected))


@pytest.mark.parametrize("value", [1e39, 1e300, -1e308, "inf"])
def test_the_most_extreme_row_has_the_highest_score_and_an_alarm(table, value):
    body = split(rows=with_value(value))
    predictions = pd.DataFrame(json.loads(respond(table, body, JSON).response)["predictions"])
    assert predictions.score.idxmax() == 1
    assert predictions.alarm[1]
    assert predictions.reasons[1].startswith("f2 ")


def test_a_row_without_any_value_has_no_score_and_no_alarm(table):
    body = split(rows=[ROWS[0].tolist(), [None] * 4])
    first, second = json.loads(respond(table, body, JSON).response)["predictions"]
    assert first["score"] == table.detector.scoring(ROWS[:1])[0]
    assert second["score"] is second["alarm"] is second["p_value"] is None


def with_column(value: Any) -> bytes:
    return as_json(inputs={**FRAME.to_dict("list"), "f2": value})


BAD_TABLES = [
    (split(NAMES[1:], ROWS[:, 1:].tolist()), "no column 'f0'"),
    (split(["f_0", *NAMES[1:]]), "did you mean"),
    (split(["f0", "f0", *NAMES[1:]], [[1] * 5]), "two columns named 'f0'"),
    (split([["f0"], ["f1"], [], {}]), "no column 'f0'"),
    (split(rows=[[1, 2, 3, 4], [1, 2]]), "row 2 of the request holds 2 values"),
    (split(rows=with_value("wide")), "'f2' of the request holds 'wide' in row 2"),
    (split(rows=with_value("2026-01-01")), "instead of a number"),
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
    (as_json(inputs=dict.fromkeys(NAMES, 3)), "inputs is an object with one value per column"),
    (as_json(dataframe_records=RECORDS[0]), 'send a list of such objects, {"dataframe_records"'),
    (
        as_json(**{str(k): v for k, v in RECORDS[0].items()}),
        "the request is an object with one value per column",
    ),
    (as_json(inputs=dict.fromkeys(NAMES, "wide")), "one value per column"),
    (as_json(inputs=[*RECORDS, 7]), "row 4 of the request holds"),
    (as_json(inputs="abc"), "neither a list nor an object"),
    (as_json(inputs=[], params={"a": 1}), "takes none"),
    (as_json(inputs=[], instances=[]), "'inputs', 'instances'"),
    (as_json(instances=[*RECORDS, {"f0": 1}]), "row 4 of the request has no column 'f1'"),
    (as_json(instances=[1, 2]), "row 1 of the request is 1; send a list of rows"),
    (
        b'{"inputs":[[1,2,3,' + b"[" * 1000 + b"]" * 1000 + b"]]}",
        "holds [[[[[[[...]]]]]]] in row 1",
    ),
    (as_json(rows=[]), "holds 'rows', not one of"),
    (as_json(dataframe_split=[1]), "not an object with columns and data"),
    (with_column([1]), "differ in length"),
    (with_column(""), "'f2' of the request is not a list"),
    (with_column({}), "'f2' of the request is not a list"),
    (with_column({"1": 2}), "'f2' of the request is not a list"),
    (with_column([[1], [2], [3]]), "holds [1] in row 1, which is not a value of a cell"),
    (b"[1, 2]", 'not a JSON object; send {"instances": [...]}'),
    (b"", "cannot be read"),
    (b'{"inputs": [[1,', "cannot be read"),
    (b'{"inputs": "\xff\xfe"}', "cannot be read"),
    (b'{"inputs":' + b"[" * 100_000, "cannot be read"),
    (b'{"inputs":' + b"9" * 5000 + b"}", "cannot be read"),
]
BAD_IMAGES = [
    (as_json(inputs=(PICTURES / 255).tolist()), "not scaled"),
    (as_json(inputs=(PICTURES.astype(int) + 1).tolist()), "pixels of the request are 256"),
    (as_json(inputs=(PICTURES.astype(int) - 1).tolist()), "pixels of the request are -1"),
    (as_json(inputs=PICTURES[:, :, :5].tolist()), "takes 1x6x5"),
    (as_json(inputs=[[1, 2, 3]]), "with 2 axes; give images as uint8, (N, H, W)"),
    (as_json(inputs=[[[[1]]], [[[1, 2]]]]), "differ in size"),
    (as_json(inputs=[[[[None]]]]), "pixels of the request are None"),
    (as_json(inputs=[[[[True]]]]), "pixels of the request are True"),
    (as_json(inputs=[["a" * 100_000, *[""] * 3000]]), "pixels of the request are 'aaa"),
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
    half = [] if kind == CSV else [body[: len(body) // 2]]  # the reader completes a row of CSV
    for damaged in (*DAMAGED, *half):
        response = respond(table, damaged, kind)
        assert "request" in message(response, HTTPStatus(response.status))
        assert response.status in (HTTPStatus.BAD_REQUEST, TOO_LARGE)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "1"]), values)
    ),
    max_leaves=12,
)
COLUMNS = st.fixed_dictionaries(dict.fromkeys(NAMES, JSON_VALUES))
CONTENTS = st.dictionaries(st.sampled_from(JSON_FORMATS), JSON_VALUES | COLUMNS, max_size=1)
CELLS = st.floats().map(repr) | st.text(max_size=4) | st.sampled_from(["", "1e999", "True", "7"])
CSV_TABLES = st.lists(st.lists(CELLS, min_size=4, max_size=4).map(",".join), max_size=4).map(
    lambda rows: "\n".join([",".join(NAMES), *rows]).encode(errors="ignore")
)
DTYPES = st.sampled_from(
    ["|u1", "<i8", "<f2", "<f8", ">f4", "|b1", "<c8", "|S0", "<U2", "|O", "<M8[s]", "|V5"]
)
SIDES = st.sampled_from([-1, 0, 1, 3, 4, 5, 6, 10**6, 10**18])
NPY_HEADERS = st.tuples(DTYPES, st.booleans(), st.lists(SIDES, max_size=5).map(tuple)).map(
    lambda parts: npy_header(
        repr(dict(zip(("descr", "fortran_order", "shape"), parts, strict=True))).encode()
    )
)
ARROW_TYPES = st.sampled_from(
    [pa.float64(), pa.int8(), pa.bool_(), pa.string(), pa.null(), pa.list_(pa.int8()),
     pa.decimal128(9, 2), pa.timestamp("s"), pa.dictionary(pa.int8(), pa.float64())]
)  # fmt: skip


def empty_parquet(types: list[pa.DataType], rows: int) -> bytes:
    """Return a table of empty cells."""
    file = io.BytesIO()
    columns = {name: pa.nulls(rows, type_) for name, type_ in zip(NAMES, types, strict=False)}
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def picture_files(side: int, mode: str, kind: str) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (5, side)).save(file, kind)
    return file.getvalue()


PICTURE_FILES = st.builds(
    picture_files,
    st.sampled_from([1, 6, 2000]),
    st.sampled_from(["L", "RGB"]),
    st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]),
)
DAMAGED_PICTURES = st.builds(
    lambda file, at, byte: file[: at % len(file)] + bytes([byte]) + file[at % len(file) + 1 :],
    PICTURE_FILES,
    st.integers(0, 10**6),
    st.integers(0, 255),
)
ENCODED = st.builds(
    lambda files, key, maps: as_json(
        **{key: [base64.b64encode(file).decode() for file in files]}, map=maps
    ),
    st.lists(PICTURE_FILES | DAMAGED_PICTURES | st.binary(max_size=9), max_size=3),
    st.sampled_from(["images", "inputs"]),
    st.booleans(),
)


BODIES = st.one_of(
    st.tuples(PICTURE_FILES | DAMAGED_PICTURES, st.sampled_from(MEDIA_TYPES)),
    st.tuples(ENCODED, st.just(JSON)),
    st.tuples(CONTENTS.map(lambda content: as_json(**content)), st.just(JSON)),
    st.tuples(st.binary(max_size=80), st.sampled_from([JSON, CSV, PARQUET, NPY, *MEDIA_TYPES])),
    st.tuples(CSV_TABLES, st.just(CSV)),
    st.tuples(st.binary(max_size=80).map(npy_header), st.just(NPY)),
    st.tuples(st.builds(bytes.__add__, NPY_HEADERS, st.binary(max_size=200)), st.just(NPY)),
    st.tuples(
        st.builds(
            empty_parquet,
            st.lists(ARROW_TYPES, min_size=3, max_size=4),
            st.sampled_from([0, 1, 3, 200_000]),
        ),
        st.just(PARQUET),
    ),
)


@given(body=BODIES)
@settings(max_examples=300, derandomize=True, deadline=2000)
def test_any_body_is_answered_or_refused_in_one_sentence(table, images, body):
    for model in (table, images):
        tracemalloc.start()
        response = respond(model, *body)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 32 << 20
        if response.status != HTTPStatus.OK:
            message(response, HTTPStatus(response.status))
            refusals = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, TOO_LARGE)
            assert response.status in refusals


# A few bytes of each of these stand for many: a row, an object, a column or a page of zeros.
REPEATED = {
    "objects with a key each": lambda n: as_json(inputs=[{f"key{i}": 1} for i in range(n // 16)]),
    "empty objects": lambda n: b'{"inputs":[' + b"{}," * (n // 3) + b"{}]}",
    "empty rows": lambda n: b'{"inputs":[' + b"[]," * (n // 3) + b"[]]}",
    "keys": lambda n: as_json(inputs={f"key{i}": 1 for i in range(n // 16)}),
    "forms": lambda n: as_json(**{f"key{i}": 1 for i in range(n // 16)}),
    "long text": lambda n: b'{"inputs":["' + b"a" * (n // 2) + b'"' + b',""' * (n // 6) + b"]}",
    "column names": lambda n: split([""] * (n // 4)),
    "columns": lambda n: b",".join(b"c%d" % i for i in range(n // 8)) + b"\n",
    "rows": lambda n: b"f0,f1,f2,f3\n" + b"1,1,1,1\n" * (n // 8),
    "lines": lambda n: b"\r" * n,
    "compressed rows": lambda n: pd.DataFrame(np.zeros((30 * n, 4)), columns=NAMES).to_parquet(),
    "compressed texts": lambda n: repeated_text(n),
    "declared rows": lambda n: npy_header(
        b"{'descr': '|i1', 'fortran_order': False, 'shape': (%d, 4)}" % 10**15
    ),
    "parentheses": lambda n: npy_header(b"(" * 60_000),
}  # fmt: skip


def repeated_text(count: int) -> bytes:
    texts = pa.DictionaryArray.from_arrays(np.zeros(1000, np.int32), ["1" * count])
    file = io.BytesIO()
    parquet.write_table(pa.table(dict.fromkeys(NAMES, texts)), file)
    return file.getvalue()


@pytest.mark.parametrize("kind", [JSON, CSV, PARQUET, NPY])
@pytest.mark.parametrize("unit", REPEATED)
def test_time_and_memory_are_in_proportion_to_the_size_of_a_request(table, images, unit, kind):
    body = REPEATED[unit](200_000)
    for model in (table, images):
        start = time.process_time()
        tracemalloc.start()
        response = respond(model, body, kind)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert response.status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST, TOO_LARGE)
        assert time.process_time() - start < 3  # tracing slows it tenfold
        assert peak_bytes < 40 << 20


def test_no_damaged_byte_of_a_parquet_file_ends_the_server(table):
    body = empty_parquet([pa.float64()] * 4, 1)
    for position in range(len(body)):
        damaged = bytearray(body)
        damaged[position] ^= 2  # an optional column becomes required, for example
        response = respond(table, bytes(damaged), PARQUET)
        assert response.status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST, TOO_LARGE)


def test_a_small_parquet_file_that_declares_a_large_table_is_refused_unread(table):
    body = pd.DataFrame(np.zeros((3_000_000, 4)), columns=NAMES).to_parquet()
    assert len(body) < 100_000
    start = time.process_time()
    model = DetectorModel(table.detector, Limits(rows=10**9))
    assert "declares 96,000,000 bytes" in message(respond(model, body, PARQUET), TOO_LARGE)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("form", GOOD_TABLES)
def test_more_rows_than_the_limit_are_refused(table, form):
    model = DetectorModel(table.detector, Limits(rows=2))
    said = message(respond(model, *GOOD_TABLES[form]), TOO_LARGE)
    assert "has 3 rows, but at most 2" in said
    assert ROWS_VARIABLE in said


def test_the_limits_come_from_the_environment_and_predict_has_none_by_default(monkeypatch):
    read = Limits.from_environment
    assert read(is_server=True) == Limits(100_000, 16 << 20, 1 << 26)
    assert read(is_server=False).rows > 10**12
    assert read(is_server=False).pixels > 10**12
    monkeypatch.setenv(ROWS_VARIABLE, "2")
    monkeypatch.setenv(BYTES_VARIABLE, "30")
    monkeypatch.setenv(PIXELS_VARIABLE, "9")
    assert read(is_server=True) == read(is_server=False) == Limits(2, 30, 9)


@pytest.mark.parametrize("value", ["", "0", "-1", "1e6", "many", "9" * 5000])
def test_a_limit_that_is_no_positive_number_is_refused(monkeypatch, refusal, value):
    monkeypatch.setenv(ROWS_VARIABLE, value)
    assert ROWS_VARIABLE in refusal(Limits.from_environment, is_server=True)


def test_predict_refuses_more_rows_than_a_limit_of_the_environment(table, monkeypatch):
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv(ROWS_VARIABLE, "2")
    model = DetectorModel(table.detector, Limits.from_environment(is_server=False))
    with pytest.raises(MlflowException, match="has 3 rows, but at most 2"):
        model.predict(FRAME)


@pytest.mark.parametrize("error", [StopIteration(), MemoryError("x"), RuntimeError("secret")])
def test_a_fault_of_the_server_is_answered_and_logged(table, monkeypatch, caplog, error):
    monkeypatch.setattr(table, "columns", Mock(side_effect=error))
    said = message(respond(table, split(), JSON), HTTPStatus.INTERNAL_SERVER_ERROR)
    assert "secret" not in said
    assert type(error).__name__ in caplog.text


def test_a_compressed_body_is_refused_by_name(table):
    body = gzip.compress(split())
    assert "gzip" in message(respond(table, body, CSV), HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


SHARED_CASES = {
    "serve_all_columns___": (JSON, 400, "an object with one value per column"),
    "serve_column_is___": (JSON, 400, "'mean radius' of the request is not a list"),
    "serve_column_is___1__2_": (JSON, 400, "'mean radius' of the request is not a list"),
    "serve_npy_header_deep": (NPY, 400, "cannot be read"),
    "serve_bomb.parquet": (PARQUET, 413, "has 1,000,000 rows"),
}


@pytest.mark.parametrize("name", SHARED_CASES)
def test_a_case_of_another_person_is_refused_at_once(wide_table, name):
    kind, status, named = SHARED_CASES[name]
    start = time.process_time()
    response = respond(wide_table, (CASES / name).read_bytes(), kind)
    assert named in message(response, HTTPStatus(status))
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("kind", [None, "", "text/html", f"{JSON}; charset=latin-1"])
def test_another_media_type_is_refused(table, kind):
    message(respond(table, split(), kind), HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def test_a_request_that_is_too_large_is_refused(table):
    model = DetectorModel(table.detector, Limits(bytes=20))
    assert "at most 20" in message(respond(model, split(), JSON), TOO_LARGE)


def test_predict_raises_the_message_as_an_mlflow_error(table):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"no column 'f0'.*optional ones\.$") as caught:
        table.predict(FRAME.drop(columns="f0"))
    assert caught.value.get_http_status_code() == HTTPStatus.BAD_REQUEST


def test_a_frame_with_a_repeated_feature_is_refused_by_name(table, refusal):
    frame = FRAME.set_axis(["f0", "f0", "f2", "f3"], axis=1).assign(f1=1.0)
    assert "two columns named 'f0'" in refusal(to_samples, frame, table.detector, Limits())


@pytest.mark.parametrize("is_server", [True, False])
def test_only_a_scoring_server_gets_the_request_handler(table, monkeypatch, is_server):
    from mlflow.pyfunc import scoring_server

    before = scoring_server.invocations
    monkeypatch.setattr(scoring_server, "invocations", before)  # restored in the end
    monkeypatch.setattr(Request, "body", Request.body)
    monkeypatch.setattr("hourglass.serving.pyfunc.Detector.load", lambda folder: table.detector)
    if is_server:
        name = "mlflow.pyfunc.scoring_server.app"
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    _load_pyfunc("somewhere")
    assert (scoring_server.invocations is not before) is is_server
    if is_server:
        response = scoring_server.invocations(split(), JSON, None, None).response
        assert len(json.loads(response)["predictions"]) == len(ROWS)


def test_the_handler_of_a_scoring_server_knows_the_parameters_of_the_url(table, monkeypatch):
    from mlflow.pyfunc import scoring_server

    monkeypatch.setattr(scoring_server, "invocations", None)
    monkeypatch.setattr(Request, "body", Request.body)
    install(table)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": split(), "more_body": False}

    async def served(query: bytes) -> Any:  # as in MLflow's scoring server
        body = await Request({"type": "http", "query_string": query}, receive).body()
        return await asyncio.to_thread(scoring_server.invocations, body, JSON, None, None)

    assert asyncio.run(served(b"")).status == HTTPStatus.OK
    assert "no anomaly maps" in message(asyncio.run(served(b"map=png")), HTTPStatus.BAD_REQUEST)


def test_a_scoring_server_stops_reading_a_body_above_the_limit(table, monkeypatch):
    from mlflow.pyfunc import scoring_server

    monkeypatch.setattr(scoring_server, "invocations", None)
    monkeypatch.setattr(Request, "body", Request.body)
    install(DetectorModel(table.detector, Limits(bytes=25)))
    sent = 0

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += 10
        return {"type": "http.request", "body": b" " * 10, "more_body": True}

    body = asyncio.run(Request({"type": "http", "query_string": b""}, receive).body())
    assert sent == len(body) == 30  # `respond` refuses more than 25


def test_a_missing_column_has_the_same_sentence_in_a_request_a_row_and_a_frame(table, refusal):
    frame, detector = pd.DataFrame(ROWS, columns=NAMES).drop(columns="f0"), table.detector
    rows = frame.to_dict("records")
    sentences = {
        refusal(to_samples, frame, detector, Limits()).removeprefix("the request "),
        refusal(to_samples, rows, detector, Limits()).removeprefix("row 1 of the request "),
        refusal(codes, frame, detector.columns, "new.csv").removeprefix("new.csv "),
    }
    assert len(sentences) == 1
