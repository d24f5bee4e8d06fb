"""The user's own tables: roles of columns, row numbers, kinds, missing cells, invalid contents."""

import hashlib
import os
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data import large_arrays
from hourglass.data.prepare import split_samples
from hourglass.data.prepared_data import write_prepared
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.table import Table

NOWHERE = Path("no such folder")
NAN = float("nan")
CSV = """name,a,b,kind,when
x,1,2.5,good,2024-01-01
y,3,-4,bad,2024-01-02T12:00:00
z,5,6,good,2025-01-01
"""
ROLES = {"label": "kind", "normal": "good", "id": "name", "time": "when"}
RNG = np.random.default_rng(0)


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


def with_labels(*labels: str, name: str = "y") -> str:
    return f"a,{name}\n" + "".join(f"{i % 7},{label}\n" for i, label in enumerate(labels))


def test_columns_without_a_role_are_float64_codes(load):
    raw = load(CSV, **ROLES)
    assert raw.feature_names == ("a", "b")
    assert raw.x.tolist() == [[1, 2.5], [3, -4], [5, 6]]
    assert raw.x.dtype == np.float64
    assert raw.source["files"] == {"mine.csv": hashlib.sha256(CSV.encode()).hexdigest()}
    assert raw.source["format"]["separator"] == ","


def test_columns_can_be_dropped(load):
    assert load("a,b\n0,1\n1,2\n", drop=["a"]).feature_names == ("b",)


def test_text_dates_truth_values_and_missing_cells_are_features(load):
    raw = load("site,on,when,x\nn,yes,1970-01-03,NA\ns,no,1970-01-01 12:00,1.5\nn,no,,2\n")
    assert [column.kind for column in raw.columns] == [
        *("categorical", "boolean", "datetime", "numeric")
    ]
    expected = [[0, 1, 172800, NAN], [1, 0, 43200, 1.5], [0, 0, NAN, 2]]
    np.testing.assert_array_equal(raw.x, expected)


def test_columns_are_described_with_their_decisions(load):
    rows = "".join(f"{i % 3},bar,{'' if i < 5 else i % 7}\n" for i in range(20))
    raw = load(f"a,unit,b\n{rows}")
    found = {column["name"]: column for column in raw.source["columns"]}
    assert found["a"]["kind"] == "numeric"
    assert found["a"]["distinct"] == 3
    assert found["b"]["missing"] == 0.25
    assert found["unit"]["used"] is False
    assert "same value in every row" in found["unit"]["decision"]


def test_kinds_dates_parts_and_scaling_can_be_set(load):
    text = "a,b,day\n" + "".join(f"{i % 3},{i % 4},0{1 + i % 3}/02/1970\n" for i in range(50))
    raw = load(
        text,
        kinds={"a": "categorical"},
        dates={"day": "%d/%m/%Y"},
        parts={"day": ["month"]},
        scaling="robust",
        scalings={"b": "log"},
        optional=["b"],
    )
    a, b, day = raw.columns
    assert (a.kind, a.levels) == ("categorical", ("0", "1", "2"))
    assert (b.scaling, b.optional) == ("log", True)
    assert (day.kind, day.parts, day.date_format) == ("datetime", ("month",), "%d/%m/%Y")
    assert raw.x[0, 2] == 31 * 86400
    assert load(text, dates={"day": "%m/%d/%Y"}, scaling="robust").columns[1].scaling == "robust"


def test_the_format_of_the_file_can_be_set(load):
    text = "a;b\n1.234;2\n2.500;3\n"
    settings = {"read": ReadOptions(decimal=",", thousands=".")}
    assert load(text, **settings).x[:, 0].tolist() == [1234, 2500]


@pytest.mark.parametrize(
    ("labels", "normal", "anomaly"),
    [
        ("good bad good", "good", [False, True, False]),
        ("p q r", ["p", "r"], [False, True, False]),
        ("0 1", "0", [False, True]),
        ("0 1", 0, [False, True]),
        ("0.0 1.0", 0, [False, True]),
        ("0 1", 0.0, [False, True]),
        ("0 1", [False], [False, True]),
        ("no yes", False, [False, True]),
        ("NO YES", [False], [False, True]),
        ("False True", False, [False, True]),
        ("False True", "false", [False, True]),
        ("true false", True, [False, True]),
        ("007 7", "7", [True, False]),
        ("None NA", "None", [False, True]),
    ],
)
def test_labels_match_by_value(load, labels, normal, anomaly):
    raw = load(with_labels(*labels.split()), label="y", normal=normal)
    assert raw.anomaly.tolist() == anomaly
    assert raw.label.tolist() == labels.split()


def test_labels_of_parquet_columns_match_by_value(load):
    frame = pd.DataFrame({"a": [1, 2], "f": [0.0, 1.0], "b": [True, False]})
    assert load(frame, label="f", normal=0).anomaly.tolist() == [False, True]
    assert load(frame, label="b", normal=True).anomaly.tolist() == [False, True]


def test_a_label_in_another_case_is_named(load, refusal):
    text = with_labels("OK", "bad")
    assert "did you mean 'OK'" in refusal(load, text, label="y", normal="ok")


def test_rows_without_a_label_are_left_out_unless_that_is_the_normal_one(load, refusal):
    text = with_labels("ok", "", "bad", "ok", "ok")
    raw = load(text, label="y", normal="ok")
    assert raw.id.tolist() == [f"mine.csv/{row}" for row in (1, 3, 4, 5)]
    assert raw.source["left_out_rows"] == 1
    text = with_labels("", "", "bad", "")
    assert "row 1, one of 3 of 4 rows without a label" in refusal(
        load, text, label="y", normal="bad"
    )
    assert load(text, label="y", normal=[""]).anomaly.tolist() == [False, False, True, False]


def test_without_columns_for_them_rows_are_normal_and_ids_are_row_numbers_from_1(load):
    raw = load("a\n1\n2\n")
    assert not raw.anomaly.any()
    assert raw.id.tolist() == ["mine.csv/1", "mine.csv/2"]
    assert load(CSV, **ROLES).id.tolist() == ["x", "y", "z"]


def test_ids_may_be_dates(load):
    frame = pd.DataFrame({"a": [1, 2], "day": pd.date_range("2024-01-01", periods=2)})
    assert load(frame, id="day").id.tolist() == ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]


def test_times_are_numbers_or_dates_in_seconds(load, refusal):
    assert np.diff(load(CSV, **ROLES).time).tolist() == [1.5 * 86400, (366 - 1.5) * 86400]
    assert load("a,t\n1,10\n2,20.5\n", time="t").time.tolist() == [10, 20.5]
    rising = "a,t\n" + "".join(f"{i % 3},{i}\n" for i in range(50))
    assert load(rising, time="t").time.tolist() == list(range(50))
    assert "'noon' in row 2" in refusal(load, "a,t\n1,10\n2,noon\n", time="t")
    assert "is empty in row 2" in refusal(load, "a,t\n1,10\n2,\n", time="t")


def test_times_may_begin_with_the_day_and_ambiguous_ones_are_noted(load, capsys):
    dates = load("a;t\n1;31.01.2026 23:00\n2;01.02.2026 00:00\n", time="t").time
    assert np.diff(dates).tolist() == [3600]
    text = "a,t\n1,01/02/2026\n2,02/02/2026\n"
    assert np.diff(load(text, time="t").time).tolist() == [31 * 86400]
    assert "read as %m/%d/%Y, may be %d/%m/%Y" in capsys.readouterr().err
    assert np.diff(load(text, time="t", dates={"t": "%d/%m/%Y"}).time).tolist() == [86400]


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
    (tmp_path / "mine.csv").write_text("a\n1\n2\n")
    (tmp_path / "copy").mkdir()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(Table("mine.csv").load(NOWHERE).x) == 2
    monkeypatch.chdir(tmp_path / "copy")
    assert str(tmp_path / "copy/mine.csv") in refusal(Table("mine.csv").load, NOWHERE)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert len(Table("mine.csv").load(NOWHERE).x) == 2
    assert len(Table("*.csv").load(NOWHERE).x) == 2


def test_a_table_may_be_several_files(tmp_path):
    for name, rows in (("a", "1\n2\n"), ("b", "3\n"), ("c", "4\n")):
        (tmp_path / f"{name}.csv").write_text(f"x\n{rows}")
    for path in (tmp_path / "*.csv", tmp_path, [str(tmp_path / f"{name}.csv") for name in "abc"]):
        raw = Table(path if isinstance(path, list) else str(path)).load(NOWHERE)
        assert raw.x[:, 0].tolist() == [1, 2, 3, 4]
        assert sorted(raw.source["files"]) == ["a.csv", "b.csv", "c.csv"]


@pytest.mark.parametrize("role", ["label", "id", "time", "drop"])
def test_a_missing_column_is_rejected_with_the_nearest_name(load, refusal, role):
    value = ["kinf"] if role == "drop" else "kinf"
    assert "no column 'kinf': did you mean 'kind'" in refusal(load, CSV, **{role: value})


def test_numbers_have_double_precision_and_any_size(load):
    raw = load("a,b,c\n1700000000.409,1e39,-inf\n1700000000.41,1,5\n0,2,inf\n")
    assert np.ptp(raw.x[:2, 0]) == 1700000000.41 - 1700000000.409
    assert raw.x[0, 1] == 1e39
    assert np.isfinite(raw.x).all()


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ("a,b\n1,2\n3,\n5,6\n", {"missing": "refuse"}, "'b' of"),
        ("a,b\n1,2\n3,\n5,6\n", {"missing": "refuse"}, "is empty in row 2, and 1 of 3 rows"),
        ("", {}, "mine.csv"),
        ("\n\n", {}, "mine.csv"),
        ("a,b\n", {}, "mine.csv"),
        (CSV, ROLES | {"normal": "goood"}, "did you mean 'good'"),
        (CSV, ROLES | {"normal": ["good", "bad"]}, "names every label"),
        (CSV, ROLES | {"normal": None}, "'bad', 'good'"),
        (CSV, ROLES | {"normal": []}, "'bad', 'good'"),
        ("a,b\n1,\n2,\n,3\n,4\n", {"missing": "skip"}, "Every row of"),
        ("a\n1\n2\n", {"normal": "x"}, "`label`"),
        ("a\n1\n2\n", {"drop": ["a"]}, "as a feature"),
        ("a\n1\n1\n", {}, "a (the same value in every row)"),
        ("a,b\n1,2\n" * 30 + "3,x\n", {"kinds": {"B": "numeric"}}, "did you mean 'b'"),
    ],
)
def test_invalid_tables_and_settings_are_rejected(load, refusal, content, settings, message):
    assert message in refusal(load, content, **settings)


@pytest.mark.parametrize("cell", ["", "NA", "nan", "?", "-", "null"])
def test_rows_with_an_empty_cell_can_be_left_out_and_the_others_keep_their_numbers(load, cell):
    text = f"a,b,kind\n1,2,NA\n3,{cell},x\n5,6,y\n"
    settings = {"label": "kind", "normal": "y"}
    assert np.isnan(load(text, **settings).x[1, 1])
    raw = load(text, **settings, missing="skip")
    assert raw.x.tolist() == [[1, 2], [5, 6]]
    assert raw.id.tolist() == ["mine.csv/1", "mine.csv/3"]
    assert raw.label.tolist() == ["NA", "y"]  # "NA" is missing as a feature, but may be a class


def test_a_boolean_column_that_begins_empty_or_with_numbers_is_read_alike(load):
    rows = 60_000
    for first in ("", "0"):
        cells = [first] * 55_000 + ["True", "False"] * 2_500
        lines = "".join(f"{i % 9},{cell}\n" for i, cell in enumerate(cells))
        raw = load(f"x,pump_on\n{lines}")
        assert raw.columns[1].kind == "boolean"
        expected = pd.Series(cells).map({"": NAN, "0": 0, "True": 1, "False": 0})
        np.testing.assert_array_equal(raw.x[:, 1], expected)
        assert len(raw.x) == rows


def test_large_tables_are_read_again_instead_of_kept(load, monkeypatch):
    text = "a,b\n" + "".join(f"{RNG.normal()},{i % 5}\n" for i in range(500))
    expected = load(text)
    monkeypatch.setattr("hourglass.data.inferred_table.MAX_CACHED_BYTES", 10)
    np.testing.assert_array_equal(load(text).x, expected.x)


def everyday(rows: int = 200) -> pd.DataFrame:
    """Return a table with columns of all kinds, missing cells and labels."""
    frame = pd.DataFrame(
        {
            "zeit": pd.date_range("2026-03-13", periods=rows, freq="7min"),
            "pump": RNG.choice(["P-01", "P-02", "Außen"], rows),
            "running": RNG.random(rows) < 0.7,
            "load": RNG.normal(40, 5, rows).round(2),
            "cost": np.exp(RNG.normal(6, 2, rows)).round(2),
            "count": RNG.poisson(3, rows),
            "state": np.where(RNG.random(rows) < 0.1, "fault", "ok"),
        }
    )
    frame.loc[RNG.random(rows) < 0.1, "load"] = None
    return frame


FORMATS = {
    "comma.csv": lambda frame, path: frame.to_csv(path, index=False),
    "index.csv": lambda frame, path: frame.to_csv(path),
    "missing.csv": lambda frame, path: frame.to_csv(path, index=False, na_rep="NA"),
    "question.csv": lambda frame, path: frame.to_csv(path, index=False, na_rep="?"),
    "german.csv": lambda frame, path: frame.to_csv(
        path, index=False, sep=";", decimal=",", encoding="cp1252", date_format="%d.%m.%Y %H:%M"
    ),
    "american.csv": lambda frame, path: frame.assign(
        cost=[f"${value:,.2f}" for value in frame["cost"]],
        running=np.where(frame["running"], "yes", "no"),
    ).to_csv(path, index=False, date_format="%m/%d/%Y %I:%M %p"),
    "utf16.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-16"),
    "tab.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "zipped.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "typed.parquet": lambda frame, path: frame.to_parquet(path),
    "zones.parquet": lambda frame, path: frame.assign(
        zeit=frame["zeit"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"),
        pump=frame["pump"].astype("category"),
        load=frame["load"].astype("Float64"),
    ).to_parquet(path),
    "typed.feather": lambda frame, path: frame.to_feather(path),
    "lines.jsonl": lambda frame, path: frame.to_json(
        path, orient="records", lines=True, date_format="iso"
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_an_everyday_table_has_the_same_codes_in_every_format(tmp_path, name):
    frame = everyday()
    FORMATS[name](frame, tmp_path / name)
    raw = Table(str(tmp_path / name), label="state", normal="ok").load(NOWHERE)
    kinds = {"zeit": "datetime", "pump": "categorical", "running": "boolean"}
    assert {c.name: c.kind for c in raw.columns if c.kind != "numeric"} == kinds
    levels = raw.columns[1].levels
    expected = frame.assign(
        zeit=(frame["zeit"] - pd.Timestamp(0)) / pd.Timedelta(1, "s"),
        pump=frame["pump"].map({level: i for i, level in enumerate(levels)}),
    )
    expected = expected.drop(columns="state").to_numpy(np.float64)
    np.testing.assert_array_equal(raw.x, expected)
    np.testing.assert_array_equal(raw.anomaly, frame["state"] == "fault")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_pipe_is_rejected_instead_of_waited_for(tmp_path, suffix, refusal):
    path = tmp_path / f"mine.{suffix}"
    os.mkfifo(path)
    assert f"{path} is a pipe" in refusal(Table(str(path)).load, NOWHERE)


def test_a_large_table_is_prepared_with_the_same_bytes(tmp_path, monkeypatch):
    everyday(400).to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.chdir(tmp_path)
    data = Table("mine.csv", label="state", normal="ok")
    samples, card = split_samples(data, NOWHERE, 0)
    monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 10)
    monkeypatch.setattr(large_arrays, "CHUNK_BYTES", 1000)
    large, large_card = split_samples(data, NOWHERE, 0)
    assert isinstance(large["train"].x, np.memmap)
    assert large_card == card
    write_prepared(tmp_path, large, large_card)
    np.testing.assert_array_equal(np.load(tmp_path / "train/x.npy"), samples["train"].x)


def test_missing_cells_of_a_huge_table_are_counted_beside_the_fitted_sample(tmp_path, monkeypatch):
    frame = pd.DataFrame(RNG.normal(size=(2000, 3)), columns=["a", "b", "c"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hourglass.data.prepare.MAX_FITTED_BYTES", 24 * 50)  # of 1,000 train rows
    for column, gaps in (("a", 20), ("b", 200)):
        frame.loc[RNG.choice(2000, gaps, replace=False), column] = None
    frame.to_parquet("mine.parquet")
    samples, card = split_samples(Table("mine.parquet"), NOWHERE, 0)
    shares = [column["missing_share"] for column in card["scaling"]["columns"]]
    assert shares == np.isnan(samples["train"].x).mean(0).tolist()
    assert {column["count"] for column in card["scaling"]["columns"]} == {1000}
    assert min(shares[:2]) > 0
