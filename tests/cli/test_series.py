"""Commands on a time series: its events, their metrics, and drift."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hourglass
from hourglass.cli.drift import drift
from hourglass.cli.score import score
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import Detector
from hourglass.stages.evaluate import evaluate
from tests.cli import TABLE
from tests.cli.files import read_table, write_table
from tests.stages.cells import no_figures
from tests.workspaces import FakeRecorder, calibrated, set_up, set_yaml, working_in

MACHINES, ROWS, WINDOW = ("=a", "b"), 1400, 16
FAULT = slice(500, 540)  # of machine b, in the new file
LABELLED = slice(1340, 1360)  # of both machines, in the test split of the training file
CELL = ("pump", "linear")
STEP = pd.Timedelta(minutes=10)


def readings(seed: int) -> pd.DataFrame:
    """Return a sine wave with noise of two channels, for two machines one after the other."""
    rng = np.random.default_rng(seed)
    parts = []
    for machine in MACHINES:
        phase = 2 * np.pi * (np.arange(ROWS) + rng.integers(48)) / 48
        channels = np.stack([np.sin(phase), np.cos(phase)], 1) + 0.1 * rng.normal(size=(ROWS, 2))
        part = pd.DataFrame(channels, columns=["flow", "heat"])
        part.insert(0, "machine", machine)
        part.insert(0, "time", pd.Timestamp("2026-03-01") + STEP * np.arange(ROWS))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def pump(tmp_path_factory) -> Path:
    """Give a working folder with the calibrated cell CELL."""
    folder = set_up(tmp_path_factory.mktemp("series") / "workspace")
    old = readings(0)
    faults = np.concatenate([first + np.arange(*LABELLED.indices(ROWS)) for first in (0, ROWS)])
    old.loc[faults, "flow"] = 4.0
    old.to_csv(folder / "pump.csv", index=False)
    times = old.time[[LABELLED.start, LABELLED.stop - 1]].astype(str).tolist()
    path = folder / "configs/data/pump.yaml"
    settings = {
        "class_path": "hourglass.data.Series",
        "init_args": {
            "path": "pump.csv",
            "entity": "machine",
            "window": WINDOW,
            "intervals": [times],
        },
        "model": {"latent_dim": 4, "learning_rate": 0.01},
        "training": {"batch_size": 64, "max_epochs": 5},
    }
    for key, value in settings.items():
        set_yaml(path, key, value=value)
    with working_in(folder, FakeRecorder()), no_figures():
        calibrated(CELL)
        evaluate(*CELL)
    return folder


@pytest.fixture
def here(pump, tmp_path) -> Iterator[Path]:
    """Work in the folder of the cell; give a folder for files."""
    with working_in(pump):
        yield tmp_path


@pytest.fixture
def new() -> pd.DataFrame:
    """Give new readings with a fault: the flow of machine b stops."""
    frame = readings(1)
    frame.loc[ROWS + np.arange(FAULT.start, FAULT.stop), "flow"] = 4.0
    return frame


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_fault_is_one_event_with_its_times_entity_and_reason(here, new, suffix, capsys):
    out = score(*CELL, write_table(new, here / "new.csv"), here / f"out{suffix}")
    scores, events = read_table(out), read_table(here / f"out-events{suffix}")
    worst = events.loc[events.score.idxmax()]
    assert worst.machine == "b"
    assert worst.score == pytest.approx(scores.score.max())
    inside = slice(worst.start_id - 1, worst.end_id)  # ids are row numbers from 1
    fault = ROWS + np.arange(FAULT.start, FAULT.stop)
    assert worst.start_id - 1 <= fault[0]
    assert worst.end_id - 1 >= fault[-1]
    assert worst.rows == worst.end_id - worst.start_id + 1
    assert worst.alarms == scores.alarm[inside].sum()
    peak = scores.iloc[worst.peak_id - 1]
    assert (worst.feature_1, worst.reason_1) == (peak.feature_1, peak.reason_1)
    assert worst.feature_1 == "flow"
    for name in ("start", "end", "peak"):
        expected = new.time[worst[f"{name}_id"] - 1]
        assert pd.Timestamp(worst[name]) == expected
        if suffix == ".csv":
            assert worst[name] == expected.isoformat()
    per_day = len(events) / (len(new) / 144)
    printed = capsys.readouterr().out
    assert f"{len(events)} event{'s' * (len(events) != 1)} ({per_day:.3g} per day, at " in printed


def test_every_alarm_lies_in_one_event(here, new):
    out = score(*CELL, write_table(new, here / "new.csv"), here / "out.csv")
    scores, events = read_table(out), read_table(here / "out-events.csv")
    covered = np.zeros(len(scores), int)
    for event in events.itertuples():
        covered[event.start_id - 1 : event.end_id] += 1
    assert (covered[scores.alarm] == 1).all()
    assert events.alarms.sum() == scores.alarm.sum()
    assert covered.max() == 1


def test_short_events_can_be_dropped(here, new):
    table = write_table(new, here / "new.csv")
    score(*CELL, table, here / "all.csv", top=80, cool_down=1)
    score(*CELL, table, here / "long.csv", top=80, cool_down=1, min_length=2 * WINDOW)
    every, long = (read_table(here / f"{name}-events.csv") for name in ("all", "long"))
    assert 0 < len(long) < len(every)
    assert long.start_id.tolist() == every[every.rows >= 2 * WINDOW].start_id.tolist()


def test_a_file_without_alarms_has_a_table_without_events(here, capsys):
    quiet = readings(0).iloc[:40]
    score(*CELL, write_table(quiet, here / "new.csv"), here / "out.csv")
    assert len(pd.read_csv(here / "out-events.csv")) == 0
    assert "0 events (0 per day" in capsys.readouterr().out


def test_python_gives_the_events_of_the_command(here, new):
    score(*CELL, write_table(new, here / "new.parquet"), here / "out.parquet")
    expected = read_table(here / "out-events.parquet")
    detector = hourglass.load("/".join(CELL))
    indexed = new.set_index(1000 + np.arange(len(new)))
    found = detector.events(indexed)
    for name in ("start_id", "end_id", "peak_id"):
        found[name] -= 999
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_event_options_for_a_table_are_refused(cells, tmp_path, rows, refusal):
    with working_in(cells):
        file = write_table(rows, tmp_path / "new.csv")
        message = refusal(score, *TABLE, file, tmp_path / "out.csv", min_length=3)
        assert "breast_cancer is no time series" in message
        assert "no time series" in refusal(hourglass.load("/".join(TABLE)).events, rows)


@pytest.fixture
def evaluated(pump) -> Path:
    """Give the folder with the evaluation of the cell."""
    return pump / "runs" / Path(*CELL) / "evaluate"


def test_metrics_of_events_are_those_of_the_tables(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    events = pd.read_csv(evaluated / "events.csv")
    scores = pd.read_parquet(evaluated / "scores.parquet")
    test = scores[scores.split == "test"]
    days = (~test.anomaly).sum() * STEP / pd.Timedelta(days=1)
    assert (metrics["events"], metrics["event_recall"]) == (2, 1)
    assert metrics["alarms_per_day"] == pytest.approx((~events.labelled).sum() / days)
    assert metrics["detection_delay_seconds"] == 600 * metrics["detection_delay"]
    blocks = pd.Timedelta(days=1) / (STEP * WINDOW)
    threshold = json.loads((evaluated.parent / "calibrate/threshold.json").read_text())
    expected = threshold["false_alarm_rate"] * blocks
    assert metrics["expected_alarms_per_day"] == pytest.approx(expected)
    assert {"VUS_PR", "VUS_ROC", "range_F1", "block_alarm_rate", "alarms_per_day_tuning"} <= {
        *metrics
    }
    assert events.labelled.sum() >= 2
    assert events.alarms.sum() == test.alarm.sum()
    thresholds = pd.read_csv(evaluated / "thresholds.csv")
    assert thresholds.block_alarm_rate[0] == metrics["block_alarm_rate"]


def test_other_data_sets_have_no_metrics_of_series(cells):
    folder = cells / "runs" / Path(*TABLE) / "evaluate"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert not {"VUS_PR", "events", "alarms_per_day", "block_alarm_rate"} & {*metrics}
    assert "block_alarm_rate" not in pd.read_csv(folder / "thresholds.csv")
    assert not (folder / "events.csv").exists()


def test_drift_compares_blocks_and_finds_none_in_calibration_data(here, new, capsys, monkeypatch):
    monkeypatch.setattr("hourglass.evaluation.figures.save", lambda figure, path: path.touch())
    calibration = Prepared.open(Path("data/prepared/pump")).split("calibration")
    rows = [int(name.rpartition("/")[2]) - 1 for name in calibration.id]
    old = pd.read_csv("pump.csv").iloc[rows]
    report = json.loads(
        drift(*CELL, write_table(old, here / "old.csv"), here / "a.json").read_text()
    )
    detector = Detector.of_cell(Cell(*CELL))
    assert report["samples"] == len(detector.calibration_scores)
    assert report["kolmogorov_smirnov"]["statistic"] == 0
    assert not report["found"]
    new["flow"] += 2
    report = json.loads(
        drift(*CELL, write_table(new, here / "new.csv"), here / "b.json").read_text()
    )
    assert report["found"]
    assert "of the blocks are alarms" in capsys.readouterr().out
