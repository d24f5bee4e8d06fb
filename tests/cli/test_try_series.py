"""Command `try` with a time series: its settings, ranked events and summary."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from hourglass.cli.try_ import try_
from hourglass.cli.try_summary import distant_rows
from hourglass.core.paths import Cell
from hourglass.detection.detector import Detector
from hourglass.detection.events import find_events
from tests.cli.test_try import fast_in
from tests.workspaces import working_in

ROWS, ANOMALY = 1200, slice(1100, 1112)


def write_series(folder: Path, labels: bool = False) -> Path:
    """Write two channels, a wave each; near the end, one stops."""
    rng = np.random.default_rng(0)
    phase = np.arange(ROWS) / 5
    rows = pd.DataFrame({"flow": np.sin(phase), "load": np.cos(phase)})
    rows += 0.05 * rng.normal(size=rows.shape)
    rows.loc[ANOMALY, "flow"] = 4.0
    rows.insert(0, "time", pd.date_range("2024-03-01", periods=ROWS, freq="10min").astype(str))
    if labels:
        rows["state"] = "ok"
        rows.loc[ANOMALY, "state"] = "fault"
    rows.to_csv(folder / "pumps.csv", index=False)
    return folder / "pumps.csv"


@dataclass(frozen=True)
class Tried:
    """The result of `try_` with a series."""

    folder: Path
    output: str
    detector: Detector

    @property
    def rows(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "ranked.csv")

    @property
    def events(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "events.csv")


def tried_in(folder: Path, **options) -> Tried:
    path, output = write_series(folder, labels="label" in options), io.StringIO()
    with fast_in(folder), redirect_stdout(output):
        try_(path, **options)
    with working_in(folder / "hourglass-pumps"):
        detector = Detector.of_cell(Cell("pumps", "ensemble"))
    return Tried(folder / "hourglass-pumps", output.getvalue(), detector)


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> Tried:
    return tried_in(tmp_path_factory.mktemp("series"))


def test_ranked_rows_have_their_times(tried):
    rows = tried.rows.sort_values("id")
    expected = pd.date_range("2024-03-01", periods=ROWS, freq="10min")
    assert (pd.to_datetime(rows["time"]).to_numpy() == expected.to_numpy()).all()
    assert rows["rank"].is_unique


def test_events_are_the_alarms_of_rows_that_belong_together_by_rank(tried):
    rows, events = tried.rows.sort_values("id"), tried.events
    columns = [column.name for column in tried.detector.columns]
    assert columns == ["time", "flow", "load"]
    times = pd.to_datetime(rows["time"]).to_numpy("datetime64[s]").astype(float)
    windows = tried.detector.encoding.windows(times[:, None])
    found = find_events(rows["alarm"].astype(bool).to_numpy(), rows["score"].to_numpy(), windows)
    assert sorted(zip(found.first + 1, found.last + 1, strict=True)) == sorted(
        zip(events["start_id"], events["end_id"], strict=True)
    )
    assert events["score"].is_monotonic_decreasing
    assert events["rank"].tolist() == list(range(1, len(events) + 1))


def test_the_first_event_is_the_stretch_that_is_abnormal(tried):
    first = tried.events.iloc[0]
    assert first["start_id"] <= ANOMALY.start + 1
    assert first["end_id"] >= ANOMALY.stop
    assert first["score"] == tried.rows["score"].iloc[0]


def test_the_reasons_of_an_event_are_those_of_its_most_unusual_row(tried):
    first = tried.events.iloc[0]
    rows = tried.rows.set_index("time")
    assert rows.loc[first["most_unusual"], "id"] in range(ANOMALY.start + 1, ANOMALY.stop + 1)
    assert first["reasons"] == rows.loc[first["most_unusual"], "reasons"]
    assert first["reasons"].startswith("flow 4, expected ")


def test_the_summary_counts_rows_and_events_and_says_what_to_expect(tried):
    alarms = int(tried.rows["alarm"].sum())
    counts = (
        f"1,200 rows scored, {alarms} alarms ({alarms / ROWS:.1%}) in {len(tried.events)} event"
    )
    assert counts in tried.output
    window = tried.detector.encoding.window
    rate = tried.detector.threshold.false_alarm_rate
    days = window * 600 / 86_400 / rate
    assert f"at most {rate:.1%} of normal stretches of {window} rows have one" in tried.output
    assert f"one in {days:.3g} days of normal rows" in tried.output
    assert "of the training split are optimistic" in tried.output


def test_rows_of_one_event_are_shown_once():
    assert distant_rows([50, 51, 49, 90, 10, 70], 20, 3) == [50, 90, 10]
    assert distant_rows([5, 6], 20, 3) == [5]


def test_strong_noise_and_whole_batches_are_for_series_alone(tmp_path):
    settings = tmp_path / "hourglass-pumps/configs/model/ensemble.yaml"

    def written():
        values = yaml.safe_load(settings.read_text())["init_args"]
        return values["noise_factor"], values["batch_share"]

    tried_in(tmp_path, label="state")
    assert written() == (1.0, 1.0)
    with fast_in(tmp_path):
        try_(tmp_path / "pumps.csv", rows=True, label="state")
    assert written() == (0.2, 0.25)
    assert not (tmp_path / "hourglass-pumps/events.csv").exists()


def test_labels_measure_the_quality_without_an_interval(tmp_path):
    tried = tried_in(tmp_path, label="state")
    assert "(no interval, as neighbouring rows are not independent)" in tried.output
    assert tried.events["label"].iloc[0] == "fault"


def test_changed_intervals_are_noticed_by_the_pipeline(tmp_path):
    (tmp_path / "intervals.csv").write_text("start,end\n2024-03-08 15:20,2024-03-08 17:10\n")
    tried = tried_in(tmp_path, intervals=tmp_path / "intervals.csv")
    settings = yaml.safe_load((tried.folder / "configs/data/pumps.yaml").read_text())
    stored = settings["init_args"]["intervals"]
    assert stored == "data/own/pumps-intervals.csv"
    (tmp_path / "intervals.csv").write_text("start,end\n2024-03-08 15:20,2024-03-08 16:00\n")
    tried_in(tmp_path, intervals=tmp_path / "intervals.csv")
    assert "16:00" in (tried.folder / stored).read_text()
