"""Settings and files of a series that cannot be used get a sentence with a way out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.core.errors import UserError
from hourglass.data.series import Series

ROWS = 200


@pytest.fixture
def table(tmp_path) -> Path:
    x = np.random.default_rng(0).normal(size=ROWS)
    pd.DataFrame({"time": np.arange(ROWS), "x": x}).to_csv(tmp_path / "pump.csv", index=False)
    return tmp_path / "pump.csv"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[3, 9]", r"holds 3, but an interval is \[start, end\]"),
        ('[{"start": 3, "end": 9}]', "but an interval is"),
        ('{"other.csv": [[3, 9]]}', "has no list for 'pump.csv'"),
        ('{"pump.csv": null}', "holds no list"),
        ("[]", "names no interval"),
    ],
)
def test_a_json_file_without_usable_intervals_is_refused(table, text, words):
    path = table.with_name("faults.json")
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        Series(str(table), time="time", intervals=str(path)).load(Path())


def test_intervals_in_latin_1_are_refused(table):
    path = table.with_name("faults.csv")
    path.write_bytes("début,fin\n3,9\n".encode("latin-1"))
    with pytest.raises(UserError, match="no text in UTF-8"):
        Series(str(table), time="time", intervals=str(path)).load(Path())


@pytest.mark.parametrize("text", ["start;end\n3;9\n", "3,9\n", json.dumps([[3, 9]])])
def test_intervals_are_read_with_either_separator(table, text):
    path = table.with_name("faults.json" if text.startswith("[") else "faults.csv")
    path.write_text(text)
    raw = Series(str(table), time="time", intervals=str(path)).load(Path())
    assert np.flatnonzero(raw.anomaly).tolist() == list(range(3, 10))


def test_a_series_without_a_normal_row_is_refused(table):
    series = Series(str(table), time="time", intervals=[[0, ROWS]])
    with pytest.raises(UserError, match="all 200 rows of the series are anomalous"):
        series.split(series.load(Path()), 0)


def test_a_window_longer_than_the_table_is_refused_before_its_steps_are_laid_out(table):
    with pytest.raises(UserError, match="has 200 rows; set a smaller `window`"):
        Series(str(table), time="time", window=10**12).load(Path())


@pytest.mark.parametrize("name", ["step", "max_gap", "clip"])
def test_infinite_settings_are_refused(name):
    with pytest.raises(UserError, match=f"{name} is inf, but must be above 0 and finite"):
        Series("pump.csv", **{name: float("inf")})


@pytest.mark.parametrize("window", [10, None])
def test_a_stride_that_leaves_rows_between_windows_is_refused(table, window):
    with pytest.raises(UserError, match="stride is 50, but windows of"):
        Series(str(table), time="time", window=window, stride=50).load(Path())
