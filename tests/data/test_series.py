"""The data set of time series: what it reads, and splits that share no window."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.core.errors import UserError
from hourglass.data.prepare import split_samples
from hourglass.data.prepared_data import SPLITS
from hourglass.data.series import Series

WINDOW = 8
REAL = os.environ.get("HOURGLASS_DATA")


def frame(rows=400, start="2026-01-01", period="5min"):
    rng = np.random.default_rng(0)
    time = pd.date_range(start, periods=rows, freq=period)
    return pd.DataFrame(
        {"when": time, "a": np.sin(np.arange(rows) / 5), "b": rng.normal(size=rows)}
    )


def prepared(path, table, **settings):
    table.to_csv(path, index=False)
    settings = {"window": WINDOW, "path": str(path), **settings}
    return split_samples(Series(**settings), path.parent, 0)


def test_the_column_of_times_is_found(tmp_path, capsys):
    samples, card = prepared(tmp_path / "a.csv", frame())
    assert card["source"]["series"] == {"step": 300.0, "runs": 1, "window": WINDOW}
    assert card["feature_names"] == ["a", "b"]
    assert "column 'when' is the time" in capsys.readouterr().err
    first = pd.Timestamp("2026-01-01").timestamp()
    assert samples["train"].x[:2].tolist()[1][0] == first + 300


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S+02:00", "epoch", "newest"])
def test_times_are_read_in_any_form(tmp_path, form):
    table = frame()
    seconds = (table["when"] - pd.Timestamp(0)).dt.total_seconds().astype(int)
    if form == "epoch":
        table["when"] = seconds
    elif form == "newest":
        table = table[::-1]
    else:
        table["when"] = table["when"].dt.strftime(form)
    _, card = prepared(tmp_path / "a.csv", table, time="when")
    assert card["source"]["series"]["step"] == 300
    assert card["source"]["series"]["runs"] == 1


def test_without_times_the_rows_follow_each_other(tmp_path):
    samples, card = prepared(tmp_path / "a.csv", frame().drop(columns="when"))
    assert card["source"]["series"]["step"] == 1
    assert np.diff(samples["train"].x[:, 0]).tolist() == [1.0] * (len(samples["train"].x) - 1)


def test_splits_follow_time_with_a_gap_of_a_window(tmp_path):
    samples, _ = prepared(tmp_path / "a.csv", frame())
    times = [samples[name].x[:, 0] for name in SPLITS]
    for earlier, later in itertools.pairwise(times):
        assert later.min() - earlier.max() >= WINDOW * 300


def test_anomalous_stretches_do_not_train(tmp_path):
    table = frame()
    table["state"] = "ok"
    table.loc[50:70, "state"] = "broken"
    table.loc[380:385, "state"] = "broken"
    samples, card = prepared(tmp_path / "a.csv", table, label="state", normal="ok")
    assert not samples["train"].anomaly.any()
    assert samples["test"].anomaly.sum() == 6
    x = samples["train"].x
    assert np.diff(x[:, 0]).max() == 22 * 300  # the stretch is a gap, which no window crosses
    assert card["splits"]["test"]["anomalies"] == 6


@pytest.mark.parametrize("as_file", ["list", "json", "csv"])
def test_intervals_label_stretches(tmp_path, as_file):
    spans = [["2026-01-02 08:00", "2026-01-02 09:00"]]
    intervals = spans
    if as_file == "json":
        intervals = tmp_path / "windows.json"
        intervals.write_text(json.dumps({"a.csv": spans, "other.csv": [["x", "y"]]}))
    elif as_file == "csv":
        intervals = tmp_path / "windows.csv"
        intervals.write_text("start,end\n" + ",".join(spans[0]) + "\n")
    intervals = intervals if as_file == "list" else str(intervals)
    samples, _ = prepared(tmp_path / "a.csv", frame(), intervals=intervals)
    found = samples["test"].x[samples["test"].anomaly, 0]
    start = pd.Timestamp(spans[0][0]).timestamp()
    assert found.tolist() == [start + 300 * i for i in range(13)]


def entities(count=10, rows=200):
    tables = [frame(rows).assign(machine=f"m{i}") for i in range(count)]
    return pd.concat(tables).sort_values(["when", "machine"])


def test_entities_are_series_of_their_own(tmp_path):
    _, card = prepared(tmp_path / "a.csv", entities(), entity="machine")
    assert card["source"]["series"] == {"step": 300.0, "runs": 10, "window": WINDOW}
    assert [column["kind"] for column in card["columns"]][:2] == ["entity", "time"]


def test_a_split_by_entity_keeps_each_entity_in_one_split(tmp_path):
    samples, _ = prepared(tmp_path / "a.csv", entities(), entity="machine", split_by="entity")
    sets = [set(samples[name].x[:, 0]) for name in SPLITS]
    assert all(sets)
    assert sum(map(len, sets)) == len(set.union(*sets)) == 10


def test_missing_cells_are_kept(tmp_path):
    table = frame()
    table.loc[5:9, "a"] = np.nan
    samples, _ = prepared(tmp_path / "a.csv", table)
    assert np.isnan(samples["train"].x[:, 1]).sum() == 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 1}, "window is 1, but must be at least 2"),
        ({"stride": 0}, "stride is 0"),
        ({"step": 0.0}, "step is 0.0, but must be above 0"),
        ({"entity": "nothing"}, "has no column 'nothing'"),
        ({"split_by": "entity"}, "`entity` names no column"),
        ({"label": "a", "normal": "0", "intervals": []}, "omit one of them"),
        ({"intervals": [["2026-01-02", "2026-01-01"]]}, "ends before it starts"),
        ({"intervals": [["2030-01-02", "2030-01-03"]]}, "has no row; correct it"),
        ({"intervals": [["soon", "later"]]}, "holds the time 'soon'"),
        ({"intervals": "missing.json"}, "missing.json does not exist"),
        ({"step": 60.0, "max_gap": 6.0}, "have no row"),
        ({"window": 100}, "split would hold none"),
    ],
)
def test_wrong_settings_get_a_sentence(tmp_path, settings, words):
    with pytest.raises(UserError, match=words):
        prepared(tmp_path / "a.csv", frame(), **settings)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("path", "settings", "expected"),
    [
        ("nab/nyc_taxi.csv", {}, {"step": 1800.0, "runs": 1}),
        ("skab/*.csv", {"drop": ("changepoint",)}, {"step": 1.0}),
    ],
)
@pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data to test with")
def test_public_series_are_read(path, settings, expected):
    source = str(Path(REAL) / "series" / path)
    _, card = split_samples(Series(source, window=32, **settings), Path(), 0)
    assert card["source"]["series"].items() >= expected.items()


@pytest.fixture
def files(tmp_path):
    """Two series in two files, whose names tell them apart."""
    for name in ("pump_a", "pump_b"):
        frame().to_csv(tmp_path / f"{name}.csv", index=False)
    return str(tmp_path / "pump_*.csv")


def test_each_file_is_a_series_if_the_entity_is_the_file(tmp_path, files):
    _, card = split_samples(Series(files, entity="file", window=WINDOW), tmp_path, 0)
    assert card["source"]["series"]["runs"] == 2
    assert card["columns"][0]["name"] == "file"


def spans_of(entity, kind, tmp_path):
    """Return one stretch of one entity as an object by file, by entity, as a table or a list."""
    start, end = "2026-01-02 08:00", "2026-01-02 09:00"
    if kind == "list":
        return [[start, end, entity]]
    path = tmp_path / f"spans.{'csv' if kind == 'table' else 'json'}"
    if kind == "table":
        path.write_text(f"file,start,end\n{entity},{start},{end}\n")
    else:
        path.write_text(json.dumps({entity + ".csv" * (kind == "by file"): [[start, end]]}))
    return str(path)


@pytest.mark.parametrize("kind", ["by file", "by entity", "table", "list"])
def test_an_interval_of_an_entity_labels_no_other(tmp_path, files, kind):
    intervals = spans_of("pump_b", kind, tmp_path)
    samples, _ = split_samples(
        Series(files, entity="file", intervals=intervals, window=WINDOW), tmp_path, 0
    )
    test = samples["test"]
    assert test.anomaly.sum() == 13
    assert len(set(test.x[test.anomaly, 0])) == 1
