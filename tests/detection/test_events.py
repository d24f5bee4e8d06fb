"""Events: which alarms belong together, against a loop, and their number on simulated series."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import maximum_filter1d

from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.windows import Windows, find_windows
from hourglass.detection.calibrators import AlarmsPerDay, Calibrator, Conformal
from hourglass.detection.calibrators.from_settings import calibrate
from hourglass.detection.events import EventRule, find_events
from hourglass.evaluation.metrics.series import SeriesRows, normal_alarms
from tests.detection.test_block_scores import series, values_of

WINDOW = 4


def windows_of(time: list[float], entity: list[int] | None = None) -> Windows:
    codes = None if entity is None else np.array(entity, float)
    return find_windows(np.array(time, float), codes, 1.0, 8.0, WINDOW)


def spans(alarms: str, rule: EventRule = EventRule(), **series) -> list[tuple[int, int]]:
    """Return first and last row of the events of alarms such as "..x.xx"."""
    alarm = np.array([character == "x" for character in alarms])
    windows = windows_of(series.get("time", list(range(len(alarm)))), series.get("entity"))
    events = find_events(alarm, alarm * 1.0, windows, rule)
    return list(zip(events.first.tolist(), events.last.tolist(), strict=True))


@pytest.mark.parametrize(
    ("alarms", "rule", "expected"),
    [
        ("........", EventRule(), []),
        ("xxxxxxxx", EventRule(), [(0, 7)]),
        ("x...x....x", EventRule(), [(0, 4), (9, 9)]),  # a window of 4 rows ends an event
        ("x...x....x", EventRule(cool_down=5), [(0, 9)]),
        ("xx.x..xx", EventRule(cool_down=1), [(0, 1), (3, 3), (6, 7)]),
        ("xx.x..xx", EventRule(cool_down=2), [(0, 3), (6, 7)]),
        ("xx.x..xx", EventRule(min_length=3, cool_down=2), [(0, 3)]),
        ("x..x.....x", EventRule(min_length=4), [(0, 3)]),
    ],
)
def test_alarms_closer_than_the_cool_down_are_one_event(alarms, rule, expected):
    assert spans(alarms, rule) == expected


def test_no_event_continues_into_another_run():
    time = [0, 1, 2, 20, 21, 22]
    assert spans("..xx..", time=time) == [(2, 2), (3, 3)]
    assert spans("xxxxxx", time=[*range(3), *range(3)], entity=[0, 0, 0, 1, 1, 1]) == [
        (0, 2),
        (3, 5),
    ]


def test_steps_without_a_row_count_for_the_cool_down():
    assert spans("xx", time=[0, 4]) == [(0, 1)]
    assert spans("xx", time=[0, 5]) == [(0, 0), (1, 1)]


def test_events_are_in_the_order_of_time_whatever_the_order_of_rows():
    assert spans("xx......x", time=[8, 7, 6, 5, 4, 3, 2, 1, 0]) == [(8, 8), (1, 0)]


def test_an_event_names_its_highest_score_and_counts_its_rows_and_alarms():
    scores = np.array([0, 3, 9, 1, 9, 0, 0, 0, 0, 0, 0, 2.0])
    alarm = np.array([0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1], bool)
    events = find_events(alarm, scores, windows_of(list(range(12))))
    assert events.peak.tolist() == [2, 11]
    assert events.rows.tolist() == [4, 1]
    assert events.alarms.tolist() == [3, 1]


def test_rules_below_one_are_refused(refusal):
    assert "min_length is 0" in refusal(EventRule, 0)
    assert "cool_down is -1" in refusal(EventRule, 1, -1)


@pytest.mark.parametrize("seed", range(4))
def test_events_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([1, 1, 1, 2, 5, 12], 500)).astype(float)
    windows = find_windows(time, None, 1.0, 8.0, WINDOW)
    scores = rng.normal(size=500)
    alarm, rule = scores > 0, EventRule(2, 3)
    expected: list[list[int]] = []
    for row in np.flatnonzero(alarm).tolist():
        previous = expected[-1][-1] if expected else None
        joined = previous is not None and (np.diff(time[previous : row + 1]) <= 8).all()
        if joined and time[row] - time[previous] - 1 < 3:
            expected[-1].append(row)
        else:
            expected.append([row])
    expected = [rows for rows in expected if rows[-1] - rows[0] + 1 >= 2]
    events = find_events(alarm, scores, windows, rule)
    assert len(expected) > 10
    assert events.first.tolist() == [rows[0] for rows in expected]
    assert events.last.tolist() == [rows[-1] for rows in expected]
    assert events.alarms.tolist() == [len(rows) for rows in expected]
    assert events.peak.tolist() == [max(rows, key=lambda row: scores[row]) for rows in expected]


def rates(calibrator: Calibrator, score: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Return the mean number of events per day of 80 normal series, and its standard error."""
    found = []
    for start in range(80):
        prepared = series(100 * 32, 10, 100 * 32, start=1000.0 * start)
        scores = {name: score(prepared.x(name)) for name in ("calibration", "test")}
        threshold = calibrate(calibrator, prepared, scores.__getitem__)
        test = prepared.x("test")
        rows = SeriesRows(test, scores["test"], np.zeros(len(test), bool))
        assert isinstance(prepared.scaling, SeriesEncoding)
        found.append(normal_alarms(rows, prepared.scaling, threshold)["alarms_per_day"])
    return float(np.mean(found)), float(np.std(found) / np.sqrt(len(found)))


def of_windows(x: np.ndarray) -> np.ndarray:
    """Return the scores of rows: the highest of the windows around each, as autoencoders give."""
    return np.asarray(maximum_filter1d(values_of(x), 2 * 32 - 1))


@pytest.mark.parametrize(("score", "factor"), [(values_of, 1.5), (of_windows, 3)])
def test_normal_series_raise_at_most_as_many_alarms_per_day_as_the_budget(score, factor):
    budget = 4.5
    rate, error = rates(AlarmsPerDay(budget), score)
    assert rate <= budget + 3 * error
    assert rate >= budget / factor


def test_block_maxima_would_use_up_the_budget_by_fewer_alarms():
    maxima, _ = rates(Conformal(0.1), of_windows)  # an alarm of a window lies in 2 to 3 blocks
    onsets, _ = rates(AlarmsPerDay(4.5), of_windows)
    assert maxima < 0.8 * onsets
