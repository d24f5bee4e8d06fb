"""The user's own tables: roles of columns, row numbers, CSV and Parquet, invalid contents."""

import hashlib
import os
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data.table import Table

NOWHERE = Path("no such folder")
CSV = """name,a,b,kind,when
x,1,2.5,good,2024-01-01
y,3,-4,bad,2024-01-02T12:00:00
z,5,6,good,2025-01-01
"""
ROLES = {"label": "kind", "normal": "good", "id": "name", "time": "when"}


@pytest.fixture
def load(tmp_path):
    """Return a function that writes a text as CSV, or a frame as Parquet, and loads the table."""

    def write_and_load(content: str | pd.DataFrame, **settings):
        path = tmp_path / ("mine.csv" if isinstance(content, str) else "mine.parquet")
        if isinstance(content, str):
            path.write_text(content)
        else:
            content.to_parquet(path)
        return Table(str(path), **settings).load(NOWHERE)

    return write_and_load


def test_columns_without_a_role_are_features(load):
    raw = load(CSV, **ROLES)
    assert raw.feature_names == ("a", "b")
    assert raw.x.tolist() == [[1, 2.5], [3, -4], [5, 6]]
    assert raw.x.dtype == np.float64
    assert raw.x.flags.writeable
    assert raw.source["files"] == {"mine.csv": hashlib.sha256(CSV.encode()).hexdigest()}


@pytest.mark.parametrize(
    ("text", "dropped"), [("a,b\n0,1\n1,2\n", "a"), (",b\n0,1\n1,2\n", "Unnamed: 0")]
)
def test_columns_can_be_dropped(load, text, dropped):
    assert load(text, drop=[dropped]).feature_names == ("b",)


@pytest.mark.parametrize(
    ("labels", "normal", "anomaly"),
    [
        ("good bad good", "good", [False, True, False]),
        ("p q r", ["p", "r"], [False, True, False]),
        ("0 1", "0", [False, True]),
        ("0 1", 0, [False, True]),
        ("0 1", [0], [False, True]),
        ("007 7", "7", [True, False]),
        ("None NA", "None", [False, True]),
    ],
)
def test_labels_that_are_not_normal_as_text_are_anomalous(load, labels, normal, anomaly):
    rows = "".join(f"1,{label}\n" for label in labels.split())
    raw = load(f"a,y\n{rows}", label="y", normal=normal)
    assert raw.anomaly.tolist() == anomaly
    assert raw.label.tolist() == labels.split()


def test_without_columns_for_them_rows_are_normal_and_ids_are_row_numbers_from_1(load):
    raw = load("a\n1\n2\n")
    assert not raw.anomaly.any()
    assert raw.id.tolist() == ["mine.csv/1", "mine.csv/2"]
    assert load(CSV, **ROLES).id.tolist() == ["x", "y", "z"]


def test_times_are_numbers_or_dates_in_seconds(load, refusal):
    assert np.diff(load(CSV, **ROLES).time).tolist() == [1.5 * 86400, (366 - 1.5) * 86400]
    assert load("a,t\n1,10\n2,20.5\n", time="t").time.tolist() == [10, 20.5]
    assert "'noon' in row 2" in refusal(load, "a,t\n1,10\n2,noon\n", time="t")


def test_dates_with_dots_begin_with_the_day_and_those_with_slashes_are_ambiguous(load, refusal):
    dates = load("a;t\n1;31.01.2026 23:00\n2;01.02.2026 00:00\n", time="t").time
    assert np.diff(dates).tolist() == [3600]
    assert "a date such as" in refusal(load, "a,t\n1,01/02/2026\n2,02/02/2026\n", time="t")


def test_parquet_gives_the_same_as_csv(load):
    expected = load(CSV, **ROLES)
    frame = pd.read_csv(StringIO(CSV), parse_dates=["when"], date_format="ISO8601")
    raw = load(frame, **ROLES)
    np.testing.assert_array_equal(raw.x, expected.x)
    np.testing.assert_array_equal(raw.time, expected.time)
    assert raw.label.tolist() == expected.label.tolist()


def test_a_named_parquet_index_is_a_column(load):
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="key"))
    assert load(frame, id="key").id.tolist() == ["p", "q"]


def test_a_path_is_relative_to_the_working_directory_or_dvc_root(tmp_path, monkeypatch, refusal):
    (tmp_path / "mine.csv").write_text("a\n1\n")
    (tmp_path / "copy").mkdir()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(Table("mine.csv").load(NOWHERE).x) == 1
    monkeypatch.chdir(tmp_path / "copy")
    assert str(tmp_path / "copy/mine.csv") in refusal(Table("mine.csv").load, NOWHERE)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert len(Table("mine.csv").load(NOWHERE).x) == 1


def test_an_unknown_extension_is_rejected(tmp_path, refusal):
    (tmp_path / "mine.xlsx").write_bytes(b"x")
    assert "'.xlsx'" in refusal(Table(str(tmp_path / "mine.xlsx")).load, NOWHERE)


@pytest.mark.parametrize("role", ["label", "id", "time", "drop"])
def test_a_missing_column_is_rejected_with_the_nearest_name(load, refusal, role):
    value = ["kinf"] if role == "drop" else "kinf"
    assert "no column 'kinf': did you mean 'kind'" in refusal(load, CSV, **{role: value})


@pytest.mark.parametrize("cell", ["high", "1,5", "inf", "-inf", "1e+39"])
def test_a_cell_without_a_finite_number_is_rejected(load, refusal, cell):
    sentence = refusal(load, f'a,b\n1,2\n3,"{cell}"\n5,6\n')
    assert "Column 'b' of" in sentence
    assert f"holds {cell!r} in row 2" in sentence


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ("a,b\n1,2\n3,\n5,6\n", {}, "is empty or NaN in row 2"),
        (pd.DataFrame({"a": pd.array([1, None], "Int64")}), {}, "is empty or NaN in row 2"),
        (pd.DataFrame({"a": pd.to_datetime(["2024-01-01"])}), {}, "'2024-01-01 00:00:00' in row 1"),
        ("", {}, "mine.csv"),
        ("\n\n", {}, "mine.csv"),
        ("a,b\n", {}, "mine.csv"),
        ("a,y\n1,0\n2,\n", {"label": "y", "normal": "0"}, "mine.csv is empty in row 2"),
        (CSV, ROLES | {"normal": "goood"}, "did you mean 'good'"),
        (CSV, ROLES | {"normal": ["good", "bad"]}, "names every label"),
        (CSV, ROLES | {"normal": None}, "'bad', 'good'"),
        (CSV, ROLES | {"normal": []}, "'bad', 'good'"),
        ("a,b\n1,\n,2\n", {"missing": "skip"}, "Every row of"),
        ("a\n1\n", {"normal": "x"}, "`label`"),
        ("a\n1\n", {"drop": ["a"]}, "as a feature"),
        ("a,a\n1,2\n", {}, "two columns named 'a'"),
        (",a\n0,1\n1,2\n", {}, "Unnamed: 0"),
        ("a,b\n1,2,3\n", {}, "cannot be read as a csv table"),
        ("a,b\n1,2,3\n4,5,6\n", {}, "cannot be read as a csv table"),
        ("a,b\n1,2\n4,5,6\n", {}, "cannot be read as a csv table"),
    ],
)
def test_invalid_tables_and_settings_are_rejected(load, refusal, content, settings, message):
    assert message in refusal(load, content, **settings)


@pytest.mark.parametrize("cell", ["", "NA", "nan", "?", "-", "null"])
def test_rows_with_an_empty_cell_can_be_left_out_and_the_others_keep_their_numbers(load, cell):
    raw = load(f"a,b,kind\n1,2,NA\n3,{cell},x\n5,6,y\n", label="kind", normal="y", missing="skip")
    assert raw.x.tolist() == [[1, 2], [5, 6]]
    assert raw.id.tolist() == ["mine.csv/1", "mine.csv/3"]
    assert raw.label.tolist() == ["NA", "y"]  # "NA" is missing as a feature, but may be a class


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_pipe_is_rejected_instead_of_waited_for(tmp_path, suffix, refusal):
    path = tmp_path / f"mine.{suffix}"
    os.mkfifo(path)
    assert f"{path} is a pipe" in refusal(Table(str(path)).load, NOWHERE)
