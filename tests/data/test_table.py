import contextlib
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.core.errors import UserError
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
    def write_and_load(text: str, **settings):
        path = tmp_path / "mine.csv"
        path.write_text(text)
        return Table(str(path), **settings).load(NOWHERE)

    return write_and_load


def test_remaining_columns_are_the_features(load):
    raw = load(CSV, **ROLES)
    assert raw.feature_names == ("a", "b")
    assert raw.x.tolist() == [[1, 2.5], [3, -4], [5, 6]]


def test_features_are_float32_that_can_be_written_to(load):
    x = load(CSV, **ROLES).x
    assert x.dtype == np.float32
    assert x.flags.writeable


def test_labels_that_are_not_normal_are_anomalous(load):
    assert load(CSV, **ROLES).anomaly.tolist() == [False, True, False]


def test_without_labels_every_row_is_normal(load):
    assert not load("a\n1\n2\n").anomaly.any()


def test_several_labels_may_be_normal(load):
    raw = load("a,y\n1,p\n2,q\n3,r\n", label="y", normal=["p", "r"])
    assert raw.anomaly.tolist() == [False, True, False]


@pytest.mark.parametrize("normal", ["0", 0, [0], ["0"]])
def test_labels_are_compared_as_text(load, normal):
    assert load("a,y\n1,0\n2,1\n", label="y", normal=normal).anomaly.tolist() == [False, True]


def test_labels_keep_their_leading_zeros(load):
    assert load("a,y\n1,007\n2,7\n", label="y", normal="7").label.tolist() == ["007", "7"]


def test_a_class_may_be_called_none(load):
    assert load("a,y\n1,None\n2,NA\n", label="y", normal="None").anomaly.tolist() == [False, True]


def test_ids_come_from_their_column(load):
    assert load(CSV, **ROLES).id.tolist() == ["x", "y", "z"]


def test_ids_count_the_rows_from_1_without_a_column(load):
    assert load("a\n1\n2\n").id.tolist() == ["mine.csv/1", "mine.csv/2"]


def test_dates_become_seconds(load):
    time = load(CSV, **ROLES).time
    assert np.diff(time).tolist() == [1.5 * 86400, (366 - 1.5) * 86400]


def test_a_time_of_numbers_is_kept(load):
    assert load("a,t\n1,10\n2,20.5\n", time="t").time.tolist() == [10, 20.5]


def test_a_time_that_is_none_is_refused(load, refusal):
    assert "'noon' in row 2" in refusal(load, "a,t\n1,10\n2,noon\n", time="t")


def test_dropped_columns_are_no_features(load):
    assert load(CSV, **ROLES, drop=["a"]).feature_names == ("b",)


def test_the_file_is_fingerprinted(load, tmp_path):
    files = load(CSV, **ROLES).source["files"]
    assert files == {"mine.csv": hashlib.sha256((tmp_path / "mine.csv").read_bytes()).hexdigest()}


def test_parquet_gives_what_csv_gives(load, tmp_path):
    expected = load(CSV, **ROLES)
    frame = pd.read_csv(tmp_path / "mine.csv", parse_dates=["when"], date_format="ISO8601")
    frame.to_parquet(tmp_path / "mine.parquet")
    raw = Table(str(tmp_path / "mine.parquet"), **ROLES).load(NOWHERE)
    np.testing.assert_array_equal(raw.x, expected.x)
    np.testing.assert_array_equal(raw.time, expected.time)
    assert raw.label.tolist() == expected.label.tolist()


def test_a_named_parquet_index_is_a_column(tmp_path):
    path = tmp_path / "mine.parquet"
    pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="key")).to_parquet(path)
    assert Table(str(path), id="key").load(NOWHERE).id.tolist() == ["p", "q"]


def test_a_missing_value_of_a_nullable_parquet_column_is_refused(tmp_path, refusal):
    path = tmp_path / "mine.parquet"
    pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}).to_parquet(path)
    assert "is empty or NaN in row 2" in refusal(Table(str(path)).load, NOWHERE)


def test_dates_are_no_features(tmp_path, refusal):
    path = tmp_path / "mine.parquet"
    pd.DataFrame({"a": pd.to_datetime(["2024-01-01", "2024-01-02"])}).to_parquet(path)
    assert "'2024-01-01 00:00:00' in row 1" in refusal(Table(str(path)).load, NOWHERE)


def test_a_path_is_taken_below_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "mine.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    assert len(Table("mine.csv").load(NOWHERE).x) == 1


def test_a_path_is_taken_below_dvc_root_where_it_is_missing_here(tmp_path, monkeypatch):
    (tmp_path / "mine.csv").write_text("a\n1\n")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert len(Table("mine.csv").load(NOWHERE).x) == 1


def test_a_missing_file_is_refused_with_where_it_was_sought(tmp_path, monkeypatch, refusal):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert str(tmp_path / "mine.csv") in refusal(Table("mine.csv").load, NOWHERE)


def test_an_unknown_extension_is_refused(tmp_path, refusal):
    (tmp_path / "mine.xlsx").write_bytes(b"x")
    assert "'.xlsx'" in refusal(Table(str(tmp_path / "mine.xlsx")).load, NOWHERE)


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n"])
def test_an_empty_file_is_refused(load, refusal, text):
    assert "mine.csv" in refusal(load, text)


@pytest.mark.parametrize("role", ["label", "id", "time", "drop"])
def test_a_missing_column_is_refused_with_the_nearest_name(load, refusal, role):
    value = ["kinf"] if role == "drop" else "kinf"
    sentence = refusal(load, CSV, **{role: value})
    assert "no column 'kinf': did you mean 'kind'" in sentence


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("high", "holds 'high'"),
        ('"1,5"', "holds '1,5'"),
        ("", "is empty or NaN"),
        ("nan", "holds 'nan'"),
        ("inf", "holds 'inf'"),
        ("-inf", "holds '-inf'"),
        ("1e39", "holds '1e+39'"),
        ("NA", "holds 'NA'"),
    ],
)
def test_a_cell_that_is_no_finite_number_is_refused(load, refusal, cell, shown):
    sentence = refusal(load, f"a,b\n1,2\n3,{cell}\n5,6\n")
    assert "Column 'b'" in sentence
    assert f"{shown} in row 2" in sentence


def test_an_empty_label_is_refused_with_its_row(load, refusal):
    sentence = refusal(load, "a,y\n1,0\n2,\n", label="y", normal="0")
    assert "'y'" in sentence
    assert "empty in row 2" in sentence


def test_a_normal_label_that_does_not_occur_is_refused(load, refusal):
    sentence = refusal(load, CSV, **{**ROLES, "normal": "goood"})
    assert "did you mean 'good'" in sentence


def test_labels_without_an_anomaly_are_refused(load, refusal):
    sentence = refusal(load, CSV, **{**ROLES, "normal": ["good", "bad"]})
    assert "Every sample" in sentence


@pytest.mark.parametrize("normal", [None, []])
def test_labels_of_which_none_is_named_normal_are_refused(load, refusal, normal):
    assert "'bad', 'good'" in refusal(load, CSV, **{**ROLES, "normal": normal})


def test_normal_labels_without_a_label_column_are_refused(load, refusal):
    assert "`label`" in refusal(load, "a\n1\n", normal="x")


def test_a_table_without_features_is_refused(load, refusal):
    assert "as a feature" in refusal(load, "a\n1\n", drop=["a"])


def test_two_columns_of_one_name_are_refused(load, refusal):
    assert "two columns named 'a'" in refusal(load, "a,a\n1,2\n")


def test_a_column_without_a_name_is_no_feature(load, refusal):
    assert "Unnamed: 0" in refusal(load, ",a\n0,1\n1,2\n")


def test_a_column_without_a_name_can_be_dropped(load):
    assert load(",a\n0,1\n1,2\n", drop=["Unnamed: 0"]).feature_names == ("a",)


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n", "a,b\n1,2,3\n4,5,6\n", "a,b\n1,2\n4,5,6\n"])
def test_rows_longer_than_the_header_are_refused(load, refusal, text):
    assert "cannot be read as a csv table" in refusal(load, text)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_nothing_but_a_refusal_comes_out_of_damaged_files(tmp_path, damage, suffix):
    path = tmp_path / f"mine.{suffix}"
    frame = pd.DataFrame({"a": [1.5, 2.0, 3.0], "b": [1, 2, 3], "y": ["p", "q", "p"]})
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    for damaged in damage(path.read_bytes()):
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert np.isfinite(Table(str(path), label="y", normal="p").load(NOWHERE).x).all()
