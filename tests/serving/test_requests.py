"""What is read of a request, and what is refused, with no server around it."""

import io
import json
import sys
from http import HTTPStatus
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.networks import Dense
from hourglass.serving import requests
from hourglass.serving.pyfunc import Served, _load_pyfunc
from hourglass.serving.server import answer
from tests.serving.detectors import detector, normal

NAMES = ["f0", "f1", "f2", "f3"]
SHAPE = (1, 6, 5)
JSON = "application/json"


@pytest.fixture(scope="module")
def table() -> Served:
    torch.manual_seed(0)
    return Served(detector(Dense([4], 2)))


@pytest.fixture(scope="module")
def images() -> Served:
    torch.manual_seed(0)
    return Served(detector(Dense(SHAPE, 2)))


ROWS = normal((4,), 3)
PICTURES = normal(SHAPE, 3)
PICTURES[0, 0, 0, :2] = 0, 255


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def split(columns: Any = NAMES, rows: Any = None) -> bytes:
    data = ROWS.tolist() if rows is None else rows
    return as_json({"dataframe_split": {"columns": columns, "data": data}})


def npy(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def records(rows: np.ndarray = ROWS) -> list[dict[str, float]]:
    return [dict(zip(NAMES, row, strict=True)) for row in rows.tolist()]


FRAME = pd.DataFrame(ROWS, columns=NAMES).astype(np.float64)
MIXED = FRAME[NAMES[::-1]].assign(name="a card", when=pd.Timestamp("2026-01-01"))
GOOD_TABLES = {
    "names and rows": (split(), JSON),
    "in another order, with text between": (
        split([*NAMES[::-1], "name"], [[*row[::-1], "a card"] for row in ROWS.tolist()]),
        JSON,
    ),
    "an object a row": (as_json({"dataframe_records": records()}), JSON),
    "instances": (as_json({"instances": records()}), JSON),
    "rows alone": (as_json({"instances": ROWS.tolist()}), JSON),
    "columns": (as_json({"inputs": FRAME.to_dict("list")}), JSON),
    "numbers in quotes": (split(rows=[[str(x) for x in row] for row in ROWS.tolist()]), JSON),
    "no parameters": (as_json({"inputs": ROWS.tolist(), "params": {}}), JSON),
    "CSV": (MIXED.to_csv(index=False).encode(), "text/csv; charset=utf-8"),
    "Parquet": (parquet(MIXED), "application/vnd.apache.parquet"),
    "an array": (npy(ROWS), "application/x-npy"),
}


@pytest.mark.parametrize("form", GOOD_TABLES)
def test_a_table_is_read_in_every_form(table, form):
    body, kind = GOOD_TABLES[form]
    found = json.loads(answer(table, body, kind).response)["predictions"]
    expected = pd.DataFrame(table.answers(ROWS)).to_dict("records")
    assert found == expected
    assert list(found[0]) == ["score", "threshold", "alarm", "p_value"]


GOOD_IMAGES = {
    "channels first": as_json({"inputs": PICTURES.tolist()}),
    "channels last": as_json({"instances": PICTURES.transpose(0, 2, 3, 1).tolist()}),
    "grey": as_json({"inputs": PICTURES[:, 0].tolist()}),
}


@pytest.mark.parametrize("form", GOOD_IMAGES)
def test_images_are_read_in_every_layout(images, form):
    found = requests.samples(GOOD_IMAGES[form], JSON, images.detector)
    np.testing.assert_array_equal(found, PICTURES)
    assert found.dtype == np.uint8


def test_images_are_read_as_numpy_writes_them(images):
    found = requests.samples(npy(PICTURES), "application/x-npy", images.detector)
    np.testing.assert_array_equal(found, PICTURES)


def test_answers_are_those_of_the_detector(table):
    found = table.predict(FRAME[NAMES[::-1]])
    np.testing.assert_array_equal(found.score, table.detector.scoring(ROWS))
    np.testing.assert_array_equal(found.p_value, table.detector.p_values(found.score.to_numpy()))
    assert (found.threshold == table.detector.threshold.value).all()
    assert found.alarm.tolist() == (found.score > found.threshold).tolist()


def spoilt(value: Any) -> list[list[Any]]:
    rows: list[list[Any]] = ROWS.tolist()
    rows[1][2] = value
    return rows


BAD_TABLES = {
    "a missing column": (split(NAMES[1:], [row[1:] for row in ROWS.tolist()]), "no column 'f0'"),
    "a misspelt one": (split(["f_0", *NAMES[1:]]), "did you mean"),
    "one twice": (split(["f0", "f0", *NAMES[1:]], [[1] * 5]), "two columns named 'f0'"),
    "a short row": (split(rows=[[1, 2, 3, 4], [1, 2]]), "row 2 of the request holds 2 values"),
    "null": (split(rows=spoilt(None)), "'f2' of the request is empty or not finite in row 2"),
    "NaN, which is no JSON": (split(rows=spoilt(float("nan"))), "cannot be read"),
    "infinity, likewise": (split(rows=spoilt(float("inf"))), "cannot be read"),
    "NaN in quotes": (split(rows=spoilt("nan")), "is empty or not finite in row 2"),
    "beyond single precision": (split(rows=spoilt(1e39)), "is empty or not finite in row 2"),
    "beyond a score": (split(rows=spoilt(1e38)), "row 2 of the request holds values too large"),
    "a gap in an object": (as_json({"instances": [*records(), {"f0": 1}]}), "finite in row 4"),
    "beyond double precision": (split(rows=spoilt(10**400)), "cannot be read"),
    "text": (split(rows=spoilt("wide")), "'f2' of the request holds 'wide' in row 2"),
    "text without names": (as_json({"inputs": spoilt("wide")}), "holds 'wide' in row 2"),
    "a list": (split(rows=spoilt([1])), "holds [1] in row 2"),
    "an object": (split(rows=spoilt({})), "holds {} in row 2"),
    "too few features": (as_json({"inputs": [[1, 2]]}), "holds 2 values for 4 columns"),
    "no rows": (split(rows=[]), "holds no samples"),
    "no columns": (as_json({"inputs": {}}), "holds no samples"),
    "empty columns": (as_json({"inputs": {name: [] for name in NAMES}}), "holds no samples"),
    "unequal columns": (as_json({"inputs": {**FRAME.to_dict("list"), "f1": [1]}}), "equally long"),
    "numbers for rows": (as_json({"instances": [1, 2]}), "row 1 of the request holds 1"),
    "a number for a column": (as_json({"inputs": dict.fromkeys(NAMES, 3)}), "is no list"),
    "no format": (as_json({"rows": []}), "holds 'rows', not one of"),
    "two formats": (as_json({"inputs": [], "instances": []}), "'inputs', 'instances'"),
    "parameters": (as_json({"inputs": [], "params": {"a": 1}}), "'params'"),
    "text for data": (as_json({"inputs": "abc"}), "neither a list nor an object"),
    "rows of nothing": (as_json({"dataframe_split": [1]}), "no object with columns and data"),
    "a number of names": (split(columns=3), "cannot be read"),
    "a list of something": (b"[1, 2]", "no JSON object"),
    "nothing": (b"", "cannot be read"),
    "half of it": (b'{"inputs": [[1,', "cannot be read"),
    "another alphabet": (b'{"inputs": "\xff\xfe"}', "cannot be read"),
    "a well": (b'{"inputs":' + b"[" * 100_000, "cannot be read"),
    "digits without end": (b'{"inputs":' + b"9" * 5000 + b"}", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_TABLES)
def test_an_unusable_table_is_refused_in_one_sentence(table, what):
    body, named = BAD_TABLES[what]
    assert named in said(answer(table, body, JSON), HTTPStatus.BAD_REQUEST)


def said(found: Any, status: HTTPStatus) -> str:
    """Return the sentence of a refused request, which must be one."""
    assert found.status == status
    content = json.loads(found.response)
    sentence: str = content["message"]
    assert content["error_code"] == status.name
    assert sentence.endswith(".")
    assert not {". ", "\n"} & {sentence[i : i + n] for n in (1, 2) for i in range(len(sentence))}
    assert "Traceback" not in sentence
    return sentence


BAD_IMAGES = {
    "scaled ones": (as_json({"inputs": (PICTURES / 255).tolist()}), "not scaled"),
    "white beyond 255": (as_json({"inputs": (PICTURES.astype(int) + 1).tolist()}), "to 256"),
    "black below 0": (as_json({"inputs": (PICTURES.astype(int) - 1).tolist()}), "from -1"),
    "another size": (as_json({"inputs": PICTURES[:, :, :5].tolist()}), "takes 1x6x5"),
    "several sizes": (as_json({"inputs": [[[[1]]], [[[1, 2]]]]}), "not of one size"),
    "a gap": (as_json({"inputs": [[[[None]]]]}), "uint8"),
    "a table": (split(), "takes images"),
}


@pytest.mark.parametrize("what", BAD_IMAGES)
def test_unusable_images_are_refused_in_one_sentence(images, what):
    body, named = BAD_IMAGES[what]
    assert named in said(answer(images, body, JSON), HTTPStatus.BAD_REQUEST)


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/vnd.apache.parquet", "application/x-npy"]
)
def test_damaged_files_are_refused_in_one_sentence(table, kind):
    (body,) = [body for body, of in GOOD_TABLES.values() if of.startswith(kind)]
    for damaged in (b"", b"abc", body[: len(body) // 2]):
        assert "request" in said(answer(table, damaged, kind), HTTPStatus.BAD_REQUEST)


@pytest.mark.parametrize("kind", [None, "", "text/html", f"{JSON}; charset=latin-1"])
def test_another_kind_of_content_is_refused(table, kind):
    said(answer(table, split(), kind), HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def test_a_request_that_is_too_large_is_refused(table, monkeypatch):
    monkeypatch.setattr(requests, "BYTES", 20)
    assert "at most 20" in said(answer(table, split(), JSON), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def test_a_program_gets_the_sentence_as_mlflow_says_such(table):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"no column 'f0'.*any order\.$") as caught:
        table.predict(FRAME.drop(columns="f0"))
    assert caught.value.get_http_status_code() == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("serving", [True, False])
def test_only_a_scoring_server_answers_in_our_way(table, monkeypatch, serving):
    from mlflow.pyfunc import scoring_server

    before = scoring_server.invocations
    monkeypatch.setattr(scoring_server, "invocations", before)  # restored in the end
    monkeypatch.setattr("hourglass.serving.pyfunc.Detector.load", lambda folder: table.detector)
    if serving:
        name = "mlflow.pyfunc.scoring_server.app"
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    _load_pyfunc("somewhere")
    assert (scoring_server.invocations is before) is not serving
    if serving:
        found = scoring_server.invocations(split(), JSON, None, None)
        assert len(json.loads(found.response)["predictions"]) == len(ROWS)
