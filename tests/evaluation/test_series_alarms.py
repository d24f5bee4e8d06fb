"""Alarms on normal time of a series: which rows and blocks count, against loops."""

import numpy as np
import pytest

from hourglass.data.blocks import block_of_row, run_of_row
from hourglass.data.windows import Windows, find_windows
from hourglass.detection.calibrators import Manual
from hourglass.evaluation.metrics.series import (
    SeriesRows,
    near_anomalies,
    normal_alarms,
    overlaps,
    series_metrics,
)
from tests.detection.test_block_scores import STEP, WINDOW, series


def irregular(seed: int) -> tuple[Windows, np.ndarray]:
    """Return the windows of 300 rows with gaps, and a mask of anomalies."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([1, 1, 1, 2, 5, 12], 300)).astype(float)
    return find_windows(time, None, 1.0, 8.0, 6), rng.random(300) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_rows_near_an_anomaly_share_a_window_with_it(seed):
    windows, anomaly = irregular(seed)
    covered = np.zeros(len(windows.row_of_step), bool)
    labelled = set(windows.step_of_row[anomaly].tolist())
    for start in windows.starts:
        steps = range(start, start + windows.window)
        if labelled & set(steps):
            covered[steps] = True
    found = near_anomalies(anomaly, windows)
    assert 0 < found.sum() < 300
    np.testing.assert_array_equal(found, covered[windows.step_of_row])


def test_an_event_overlaps_an_anomaly_if_a_row_of_it_is_labelled():
    windows = find_windows(np.arange(9.0)[::-1], None, 1.0, 3.0, 2)  # the newest row first
    anomaly = np.zeros(9, bool)
    anomaly[4] = True
    first, last = np.array([8, 8, 4, 3, 3]), np.array([5, 4, 4, 1, 3])
    assert overlaps(first, last, anomaly, windows).tolist() == [False, True, True, False, False]


def rows_with(alarms: list[int], anomalies: list[int]) -> tuple[SeriesRows, object]:
    """Return 20 blocks of rows with alarms, scores above 1, and anomalies at rows."""
    prepared = series(20 * WINDOW)
    x = prepared.x("test")
    scores, anomaly = np.zeros(len(x)), np.zeros(len(x), bool)
    scores[alarms], anomaly[anomalies] = 2, True
    return SeriesRows(x, scores, anomaly), prepared.scaling


def test_alarms_per_day_count_events_without_a_label_on_normal_time():
    labelled = list(range(320, 352))
    alarms = [10, 30, 130, 300, 330, 500]  # 10 and 30 are one event, 300 and 330 overlap the label
    rows, encoding = rows_with(alarms, labelled)
    found = normal_alarms(rows, encoding, Manual(1.0)(np.ones(1)))
    days = (20 * WINDOW - 32) * STEP / 86_400
    assert found["alarms_per_day"] == pytest.approx(3 / days)
    # Blocks of 32: 9 to 11 are near the label; of the others, 0, 4 and 15 have alarms.
    assert found["block_alarm_rate"] == pytest.approx(3 / 17)
    blocks = block_of_row(encoding.windows(rows.x))
    assert np.unique(blocks[labelled]).tolist() == [10]
    assert (run_of_row(encoding.windows(rows.x)) == 0).all()


def test_a_series_without_labels_has_alarms_per_day_only():
    rows, encoding = rows_with([40], [])
    values = series_metrics(rows, rows, encoding, Manual(1.0)(np.ones(1)))
    assert set(values) == {"alarms_per_day", "block_alarm_rate", "alarms_per_day_tuning"}
    assert values["block_alarm_rate"] == 1 / 20


def test_without_normal_rows_there_is_no_rate():
    rows, encoding = rows_with([40], list(range(20 * WINDOW)))
    assert normal_alarms(rows, encoding, Manual(1.0)(np.ones(1))) == {}
