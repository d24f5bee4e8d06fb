"""Timelines of series: envelopes, recordings, figures and timeline.json."""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from hourglass.data.columns.column import Column
from hourglass.data.columns.encoding import ColumnEncoding
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.evaluation import figures
from hourglass.evaluation.envelope import Grid
from hourglass.evaluation.figures.timeline import COLUMNS
from hourglass.evaluation.recordings import recordings
from hourglass.evaluation.timeline import MAX_CHANNELS, Timeline
from hourglass.evaluation.timeline_file import MAX_VALUES, NO_VALUE, STEPS, write_timeline

RNG = np.random.default_rng(0)
DAY = 86_400.0


def series(x: np.ndarray, step: float = 60.0, **changes: Any) -> Timeline:
    """Return the timeline of numbers, (T, C), reconstructed as zeros, without alarms."""
    rows, channels = x.shape
    columns = tuple(ColumnEncoding(Column(f"c{i}"), "standard") for i in range(channels))
    made = Timeline(
        name="",
        time=1.4e9 + step * np.arange(rows),
        time_column=Column("time", "time"),
        step=step,
        window=8 * step,
        run=np.zeros(rows, int),
        score=np.abs(x).max(1),
        threshold=100.0,
        alarm=np.zeros(rows, bool),
        event=np.full(rows, -1),
        anomaly=np.zeros(rows, bool),
        columns=columns,
        codes=x,
        output=np.zeros((rows, channels), np.float32),
        contribution=np.abs(x).clip(0, 1e30).astype(np.float32),
        z=x[:, :3].clip(-1, 1).astype(np.float32),
    )
    return replace(made, **changes)


# Envelopes.


@pytest.mark.parametrize("columns", [2, 7, 50, 1000])
def test_an_envelope_has_the_minimum_and_the_maximum_of_each_column(columns):
    time = np.sort(RNG.integers(0, 500, 400)).astype(float)
    run, values = np.zeros(400, int), RNG.normal(size=400)
    values[::9] = np.nan
    grid = Grid.over(time, run, columns, step=1.0)
    low, high = grid.low_and_high(values)
    place = np.rint((time - grid.start) / grid.width)
    for column in range(len(grid)):
        members = values[(place == column) & ~np.isnan(values)]
        if len(members):
            assert (low[column], high[column]) == (members.min(), members.max())
    assert len(grid) <= columns or grid.width == 1.0


def test_infinite_values_have_no_place_in_an_envelope():
    values = np.array([1.0, np.inf, -np.inf, 2.0, np.nan])
    grid = Grid.over(np.arange(5.0), np.zeros(5, int), 2, 1.0)
    low, high = grid.low_and_high(values)
    assert np.nanmin(low) == 1.0
    assert np.nanmax(high) == 2.0


def test_a_step_without_a_row_repeats_the_one_before_but_a_gap_has_no_value():
    time, run = np.array([0.0, 1, 3, 10, 11]), np.array([0, 0, 0, 1, 1])
    low, _ = Grid.over(time, run, 100, 1.0).low_and_high(np.arange(5.0))
    np.testing.assert_array_equal(low, [0, 1, 1, 2, *[np.nan] * 6, 3, 4])


def test_a_single_row_has_an_envelope():
    grid = Grid.over(np.array([5.0]), np.array([0]), 10, 1.0)
    assert [end.tolist() for end in grid.low_and_high(np.array([2.0]))] == [[2.0], [2.0]]


# Recordings.


def encoding(*roles: str) -> SeriesEncoding:
    columns = (ColumnEncoding(Column("value"), "standard"),)
    return SeriesEncoding(columns, roles=roles, window=3, max_gap=3.0)


def test_a_recording_starts_at_each_entity_and_is_ordered_in_time():
    x = np.array([[9.0, 0, 0], [4, 5, 0], [9, 1, 0], [4, 6, 0], [9, 2, 0], [4, 20, 0]])
    found = recordings(encoding("entity", "time"), x)
    assert [one.rows.tolist() for one in found] == [[0, 2, 4], [1, 3, 5]]
    assert found[1].time.tolist() == [5, 6, 20]
    assert np.diff(found[1].run).tolist() == [0, 1]  # a gap


def test_a_recording_starts_where_time_goes_back():
    time = np.array([0.0, 1, 2, 30, 31, 0, 1, 2])
    found = recordings(encoding("time"), np.stack([time, time], 1))
    assert [one.rows.tolist() for one in found] == [[0, 1, 2, 3, 4], [5, 6, 7]]


def test_rows_of_descending_times_are_reversed():
    (one,) = recordings(encoding("time"), np.stack([np.arange(5.0)[::-1]] * 2, 1))
    assert one.rows.tolist() == [4, 3, 2, 1, 0]
    assert one.time.tolist() == [0, 1, 2, 3, 4]


def test_a_row_of_unknown_time_is_placed_by_its_step():
    time = np.array([np.nan, 11.0, np.nan, 13.0])
    (one,) = recordings(encoding("time"), np.stack([time, np.zeros(4)], 1))
    assert one.time.tolist() == [10, 11, 12, 13]
    (one,) = recordings(encoding(), np.zeros((3, 1)))
    assert one.time.tolist() == [0, 1, 2]


# Figures.


def lines(figure: Figure, label: str) -> list[np.ndarray]:
    """Return the drawn points, (2, n), of the lines with a label."""
    return [
        np.array(line.get_data(), float)
        for axes in figure.axes
        for line in axes.get_lines()
        if line.get_label() == label
    ]


def test_a_peak_of_one_row_is_drawn_however_long_the_series():
    x = RNG.normal(size=(200_000, 1))
    x[123_456], x[33_333] = 40.0, -30.0
    figure = figures.timeline(series(x))
    ((_, value),) = lines(figure, "input")
    assert (value.min(), value.max()) == (-30.0, 40.0)
    assert len(value) <= 2 * COLUMNS
    assert lines(figure, "score")[0][1].max() == 40.0


def test_lines_break_at_a_gap():
    x = RNG.normal(size=(20, 2))
    run = np.repeat([0, 1], 10)
    time = np.arange(20.0) + 1000.0 * run
    number = Column("time", "time", date_format="number")
    made = series(x, 1.0, time=time, run=run, time_column=number)
    for label in ("input", "reconstruction", "score"):
        for place, value in lines(figures.timeline(made), label):
            inside = (place > 12) & (place < 1009)
            assert inside.any()
            assert np.isnan(value[inside]).all()


def test_alarms_are_marked_and_labelled_stretches_shaded():
    x = RNG.normal(size=(300, 1))
    alarm, anomaly = np.arange(300) == 7, np.arange(300) // 10 == 4
    figure = figures.timeline(series(x, alarm=alarm, anomaly=anomaly))
    ((_, value),) = lines(figure, "alarm")
    assert value.tolist() == [abs(x[7, 0])]
    for axes in figure.axes:
        (shade,) = (each for each in axes.collections if each.get_label() == "labelled anomaly")
        (path,) = shade.get_paths()
        start, end = path.vertices[:, 0].min(), path.vertices[:, 0].max()
        made = series(x).time
        assert start * DAY == pytest.approx(made[40] - 30, abs=1)
        assert end * DAY == pytest.approx(made[49] + 30, abs=1)


def test_channels_are_those_with_the_largest_contributions_to_alarms():
    x = RNG.normal(size=(100, 9))
    x[50] = [0, 9, 8, 7, 6, 5, 4, 3, 2]
    x[90, 0] = 99  # no alarm
    made = series(x, alarm=np.arange(100) == 50)
    names = [channel.column.name for channel in made.channels()]
    assert names == [f"c{i}" for i in range(1, 1 + MAX_CHANNELS)]
    assert len(figures.timeline(made).axes) == MAX_CHANNELS + 1


def test_the_worst_stretch_lies_around_the_highest_score():
    x = RNG.uniform(size=(1000, 1))
    x[700:703] = 50
    made = series(x)
    worst = made.around_worst()
    assert made.worst == 701
    assert worst.time[[0, -1]].tolist() == made.time[[701 - 24, 701 + 24]].tolist()
    assert len(worst.codes) == len(worst.score) == len(worst.time)


def test_the_worst_stretch_holds_the_whole_event():
    x = RNG.uniform(size=(1000, 1))
    x[300] = 50
    alarm = (np.arange(1000) >= 250) & (np.arange(1000) < 450)
    made = series(x, alarm=alarm, event=np.where(alarm, 0, -1))
    worst = made.around_worst()
    assert worst.alarm.sum() == 200
    assert not worst.alarm[0]
    assert not worst.alarm[-1]


HOSTILE = {
    "constant": np.ones((50, 1)),
    "empty": np.full((50, 1), np.nan),
    "infinite": np.where(np.arange(50)[:, None] == 3, np.inf, 1.0),
    "huge": np.where(np.arange(50)[:, None] == 3, 1.7e308, -1.7e308),
    "one row": np.ones((1, 1)),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("error")
def test_unusual_values_can_be_drawn_and_written(tmp_path, name):
    x = HOSTILE[name]
    score = np.arange(1.0, len(x) + 1)
    made = series(x, score=score, z=np.ones((len(x), 1), np.float32))
    for draw in (figures.timeline, figures.latent_codes):
        figures.save(draw(made), tmp_path / "figure.png", name="<$a^b>")
    write_timeline(tmp_path, made)
    json.loads((tmp_path / "timeline.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("start", [-1e12, 1e15])
def test_dates_that_no_calendar_has_are_drawn_as_numbers(tmp_path, start):
    made = series(np.ones((20, 1)), time=start + 60 * np.arange(20.0))
    figures.save(figures.timeline(made), tmp_path / "figure.png")


# timeline.json.


def written(tmp_path, made: Timeline) -> dict[str, Any]:
    write_timeline(tmp_path, made)
    content: dict[str, Any] = json.loads((tmp_path / "timeline.json").read_text())
    return content


def decoded(content: dict[str, Any], panel: int, line: int) -> np.ndarray:
    """Return minima and maxima of the columns, (1 or 2, columns)."""
    entry = content["panels"][panel]
    codes = np.frombuffer(base64.b64decode(entry["lines"][line]["points"]), "<u2")
    share = codes.reshape(-1, content["columns"]) / STEPS
    if entry.get("logarithmic"):
        values = entry["low"] * (entry["high"] / entry["low"]) ** share
    else:
        values = entry["low"] + (entry["high"] - entry["low"]) * share
    return np.where(codes.reshape(values.shape) == NO_VALUE, np.nan, values)


def test_the_file_holds_every_row_of_a_short_series(tmp_path):
    x = RNG.normal(size=(500, 2))
    x[40:50, 1] = np.nan
    content = written(tmp_path, series(x))
    for panel, entry in enumerate(content["panels"][:-1]):
        expected = x[:, int(entry["name"][1:])]
        np.testing.assert_allclose(decoded(content, panel, 0), [expected], atol=2e-4)
    assert content["columns"] == content["rows"] == 500


def test_the_file_of_a_long_series_is_small_and_keeps_every_peak(tmp_path):
    x = RNG.normal(size=(300_000, 8))
    x[222_222], x[111_111] = 60.0, -50.0
    alarm = np.arange(len(x)) % 100 == 0
    content = written(tmp_path, series(x, alarm=alarm, anomaly=np.roll(alarm, 50)))
    assert (tmp_path / "timeline.json").stat().st_size < 200_000
    for panel in range(MAX_CHANNELS):
        low, high = decoded(content, panel, 0)
        assert (low.min(), high.max()) == pytest.approx((-50, 60), abs=0.01)
    assert sum(len(line["points"]) for each in content["panels"] for line in each["lines"]) < (
        MAX_VALUES * 8 / 3 + 100
    )


def test_scores_far_above_the_threshold_are_logarithmic(tmp_path):
    score = np.geomspace(0.01, 1e4, 90)
    made = series(RNG.normal(size=(90, 1)), score=score, threshold=1.0)
    content = written(tmp_path, made)
    assert content["panels"][-1]["logarithmic"]
    np.testing.assert_allclose(decoded(content, 1, 0), [score], rtol=1e-3)
    assert figures.timeline(made).axes[-1].get_yscale() == "log"
    assert not written(tmp_path, series(np.ones((9, 1))))["panels"][-1]["logarithmic"]
