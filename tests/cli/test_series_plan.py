"""Recognition of time series by `add` and `try`, and the settings that they get."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.cli.add import add
from hourglass.cli.data_plan import SERIES, TABLE, DataPlan, plan_data_set
from hourglass.cli.own_data import with_intervals
from hourglass.cli.roles import make_roles
from hourglass.cli.suggested_settings import blocks_needed, series_fractions
from hourglass.core.settings import data_config
from hourglass.core.yaml_config import build
from hourglass.data.base import DataSet, Fractions
from hourglass.data.blocks import block_count
from hourglass.data.intervals import read_interval_file
from hourglass.data.prepared_data import SPLITS
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.calibrators import Conformal
from hourglass.training.suggested_sizes import suggested_window

ALPHAS = (0.05, 0.1, 0.2)
ROWS = 1200


def frame(rows: int = ROWS, freq: str = "5min", **columns) -> pd.DataFrame:
    """Return a wave of one channel at regular times."""
    times = pd.date_range("2024-03-01", periods=rows, freq=freq).astype(str)
    wave = np.sin(np.arange(rows) / 10) + 0.1 * np.random.default_rng(0).normal(size=rows)
    return pd.DataFrame({"timestamp": times, "value": wave, **columns})


def machines() -> pd.DataFrame:
    """Return two machines whose rows alternate."""
    parts = [frame(machine=name) for name in ("north", "south")]
    return pd.concat(parts).sort_values("timestamp", kind="stable").reset_index(drop=True)


def plan(folder: Path, table: pd.DataFrame, **options) -> DataPlan:
    table.to_csv(folder / "rows.csv", index=False)
    return plan_data_set(folder / "rows.csv", make_roles(**options), ALPHAS)


def test_regular_times_make_a_series_of_one_channel_and_the_plan_says_so(tmp_path):
    found = plan(tmp_path, frame())
    assert found.class_path == SERIES
    assert found.init_args["time"] == "timestamp"
    window = found.init_args["window"]
    assert found.content[0] == (
        "A time series: a row every 5 minutes (column 'timestamp'), 1,200 rows in 1 run; scored in "
        f"windows of {window} rows. Add --rows to treat rows as independent."
    )


def test_the_newest_row_may_come_first(tmp_path):
    found = plan(tmp_path, frame().iloc[::-1])
    assert found.class_path == SERIES
    assert "1,200 rows in 1 run;" in found.content[0]


def test_rows_are_independent_on_request(tmp_path):
    found = plan(tmp_path, frame(load=np.arange(ROWS) % 7), rows=True)
    assert found.class_path == TABLE
    assert not found.hints


def test_irregular_times_make_a_table_and_the_reason_is_said(tmp_path):
    rng = np.random.default_rng(0)
    seconds = pd.to_timedelta(np.cumsum(rng.exponential(600, ROWS)).round(), unit="s")
    times = (pd.Timestamp("2024-03-01") + seconds).astype(str)
    found = plan(tmp_path, frame().assign(timestamp=times))
    assert found.class_path == TABLE
    assert "the times in column 'timestamp' are irregular" in found.hints[0]


def test_dates_in_no_order_are_a_feature_without_a_word_about_series(tmp_path):
    shuffled = frame()["timestamp"].sample(frac=1, random_state=0).to_numpy()
    found = plan(tmp_path, frame().assign(timestamp=shuffled))
    assert found.class_path == TABLE
    assert not found.hints


def test_a_few_missing_rows_do_not_break_a_series(tmp_path):
    kept = np.random.default_rng(0).random(ROWS) < 0.95
    assert plan(tmp_path, frame()[kept]).class_path == SERIES


@pytest.mark.parametrize("order", ["alternating", "one after the other"])
def test_the_column_within_whose_values_times_do_not_repeat_is_the_entity(tmp_path, order):
    rows = machines() if order == "alternating" else machines().sort_values("machine")
    found = plan(tmp_path, rows)
    assert found.init_args["entity"] == "machine"
    assert "2 runs of 2 entities (column 'machine')" in found.content[0]
    assert "'machine' is the entity" in found.content[0]


def test_of_two_columns_that_tell_series_apart_none_is_guessed(tmp_path):
    rows = machines().assign(site=lambda rows: rows["machine"].str[0])
    found = plan(tmp_path, rows)
    assert found.class_path == TABLE
    assert "such as 'machine' or 'site'," in found.hints[0]
    named = plan(tmp_path, rows, entity="site", drop="machine")
    assert named.init_args["entity"] == "site"
    assert "is the entity" not in named.content[0]


def test_times_may_be_numbers(tmp_path):
    found = plan(tmp_path, frame().assign(timestamp=np.arange(ROWS) * 0.5))
    assert "a row every 0.5 (column 'timestamp')" in found.content[0]


def test_an_empty_time_makes_a_table(tmp_path):
    rows = frame(load=1.0 * np.arange(ROWS) % 7)
    rows.loc[7, "timestamp"] = ""
    found = plan(tmp_path, rows)
    assert found.class_path == TABLE
    assert "1 cell without a time" in found.hints[0]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"entity": "value"}, "times in column 'timestamp' are irregular"),
        ({"entity": "machin"}, "did you mean 'machine'"),
        ({"entity": "machine", "time": "value"}, "the times in column 'value' are irregular"),
    ],
)
def test_an_option_of_series_is_refused_for_other_rows(tmp_path, refusal, options, reason):
    assert reason in refusal(plan, tmp_path, machines(), **options)


def test_a_series_that_is_too_short_says_how_many_rows_it_needs(tmp_path, refusal):
    rows, needed = frame(100), 8 * blocks_needed(ALPHAS[-1:], 1)
    intervals = tmp_path / "intervals.csv"
    intervals.write_text("start,end\n2024-03-01 01:00,2024-03-01 02:00\n")
    sentence = refusal(plan, tmp_path, rows, intervals=intervals)
    assert "100 normal rows are too few" in sentence
    assert f"which need {needed}" in sentence
    assert plan(tmp_path, frame(needed)).class_path == SERIES


def test_labelled_intervals_are_anomalies(tmp_path):
    rows = frame()
    intervals = tmp_path / "intervals.csv"
    start, end = rows["timestamp"][1000], rows["timestamp"][1009]
    intervals.write_text(f"start,end\n{start},{end}\n")
    found = plan(tmp_path, rows, intervals=intervals)
    assert np.flatnonzero(found.labels == "anomaly").tolist() == list(range(1000, 1010))
    assert "10 rows in 1 labelled interval are anomalies, 1,190 are normal." in found.content


def test_intervals_of_another_file_are_refused(tmp_path, refusal):
    (tmp_path / "intervals.json").write_text('{"other.csv": [["2024-03-01", "2024-03-02"]]}')
    sentence = refusal(plan, tmp_path, frame(), intervals=tmp_path / "intervals.json")
    assert "has no list for" in sentence


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[1, 2]", "holds 1, but an interval is [start, end]"),
        (b'{"rows.csv": [1, 2]}', "holds 1, but an interval is [start, end]"),
        (b'{"rows.csv": 3}', "holds no list of [start, end]"),
        (b"\xff\xfe[]", "is no text in UTF-8"),
    ],
)
def test_a_file_that_holds_no_intervals_is_refused(tmp_path, refusal, content, reason):
    (tmp_path / "intervals.json").write_bytes(content)
    assert reason in refusal(plan, tmp_path, frame(), intervals=tmp_path / "intervals.json")


def test_written_intervals_are_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    intervals = [["March 1, 2024", 'March "2", 2024']]
    written = with_intervals(replace(plan(tmp_path, frame()), intervals=intervals), "rows")
    assert read_interval_file(Path(written.init_args["intervals"]), []) == intervals


@pytest.mark.parametrize("rows", [150, 400, 1200, 4032, 9000])
@pytest.mark.parametrize("entities", [1, 2])
def test_the_calibration_split_has_the_blocks_that_the_threshold_needs(tmp_path, rows, entities):
    parts = [frame(rows, machine=str(i)) for i in range(entities)]
    found = plan(tmp_path, pd.concat(parts), **({"entity": "machine"} if entities > 1 else {}))
    config = {"path": str(tmp_path / "rows.csv"), **found.init_args}
    fractions = config.get("fractions")
    series = build({"class_path": SERIES, "init_args": config}, DataSet, "rows")
    raw = series.load(tmp_path)
    splits = series.split(raw, 0, None)
    assert all(len(splits[name]) for name in SPLITS)
    encoding = series.fit_encoding(raw, raw.x[splits["train"]])
    assert isinstance(encoding, SeriesEncoding)
    blocks = block_count(encoding.windows(raw.x[splits["calibration"]]))
    assert blocks >= Conformal(found.alpha).min_samples
    assert fractions is None or fractions["calibration"] <= 0.35


def test_fewer_blocks_give_a_higher_false_alarm_rate():
    rates = [series_fractions(blocks, 1, ALPHAS)[0] for blocks in (200, 40, 20)]
    assert rates == [0.05, 0.1, 0.2]
    _, fractions = series_fractions(40, 1, ALPHAS)
    assert sum(fractions.values()) == pytest.approx(1)
    assert series_fractions(1000, 1, ALPHAS)[1] is None  # the default share suffices
    assert Fractions().calibration == 0.15


def test_a_window_is_a_multiple_of_8_that_runs_and_the_threshold_allow():
    assert suggested_window(100_000, 100_000) == 96
    assert suggested_window(32 * 50, 10_000) == 48
    assert suggested_window(100_000, 100) == 24
    assert suggested_window(10, 10) == 8


def test_the_settings_that_add_writes_load_the_series_with_its_intervals(workspace):
    machines().to_csv(workspace.parent / "plant.csv", index=False)
    intervals = workspace.parent / "faults.csv"
    start, end = frame()["timestamp"][[1000, 1009]]
    intervals.write_text(f"start,end\n{start},{end}\n")
    add("plant", workspace.parent / "plant.csv", entity="machine", intervals=intervals)
    config = data_config("plant")
    settings = {key: config[key] for key in ("class_path", "init_args")}
    raw = build(settings, DataSet, "plant").load(Path("none"))
    assert raw.anomaly.sum() == 2 * 10  # of two machines
    assert [column.name for column in raw.columns] == ["machine", "timestamp", "value"]


def test_rows_that_depend_on_no_other_row_are_no_series(tmp_path):
    rows = frame()
    noise = np.random.default_rng(0).normal(size=(len(rows), 2))
    rows[["a", "b"]] = noise
    rows = rows[["timestamp", "a", "b"]]
    found = plan(tmp_path, rows)
    assert found.class_path != SERIES
    assert any("no column depends on the row before" in hint for hint in found.hints)
