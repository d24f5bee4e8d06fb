"""Metrics of time series: by event, with tolerance for shifted labels, and alarms per day."""

from dataclasses import dataclass

import numpy as np

from hourglass.data.blocks import block_of_row, run_of_row
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.windows import Windows
from hourglass.detection.block_scores import block_maxima, counts_events, expected_alarms_per_day
from hourglass.detection.calibrators.alarms_per_day import DAY
from hourglass.detection.events import find_events
from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics.events import event_metrics, range_based
from hourglass.evaluation.metrics.vus import period, vus


@dataclass(frozen=True)
class SeriesRows:
    """Rows of one split with their scores, in the order of the file; (T,) each."""

    x: np.ndarray  # (T, R + C) codes
    scores: np.ndarray
    anomaly: np.ndarray


def series_metrics(
    test: SeriesRows, tuning: SeriesRows, encoding: SeriesEncoding, threshold: Threshold
) -> dict[str, float]:
    """Return the metrics of metrics.json that only time series have.

    The buffer of VUS is the period of the first channel. `alarms_per_day` and `block_alarm_rate`
    are those of `normal_alarms` on the test split. `alarms_per_day_tuning` is that of the tuning
    split, whose normal rows set no threshold either, unless the calibrator uses labels.
    """
    values = detection_of_events(test, encoding, threshold)
    expected = expected_alarms_per_day(threshold, encoding)
    if expected is not None:
        values["expected_alarms_per_day"] = expected
    values |= normal_alarms(test, encoding, threshold)
    realised = normal_alarms(tuning, encoding, threshold)
    if "alarms_per_day" in realised:
        values["alarms_per_day_tuning"] = realised["alarms_per_day"]
    return values


def detection_of_events(
    rows: SeriesRows, encoding: SeriesEncoding, threshold: Threshold
) -> dict[str, float]:
    """Return VUS, event-wise and range-based metrics; empty without anomalies."""
    if not rows.anomaly.any():
        return {}
    windows = encoding.windows(rows.x)
    order = windows.order
    scores, anomaly = rows.scores[order], rows.anomaly[order]
    segments, alarm = run_of_row(windows)[order], threshold(scores)
    channel = encoding(rows.x[order])[:, 0]
    values = vus(scores, anomaly, period(np.nan_to_num(channel)), segments)
    values |= event_metrics(alarm, anomaly, segments)
    values |= range_based(alarm, anomaly, segments)
    if "detection_delay" in values:
        values["detection_delay_seconds"] = values["detection_delay"] * encoding.step
    return values


def normal_alarms(
    rows: SeriesRows, encoding: SeriesEncoding, threshold: Threshold
) -> dict[str, float]:
    """Return the false alarms per day of normal rows, and the share of normal blocks with alarms.

    A false alarm is an event, alarms at most a window apart, without a labelled row from its
    first to its last alarm. A day is as many normal rows as steps of the series make a day. A
    normal block has no row in a window with an anomalous one. By a threshold that counts events,
    the share is that of blocks in which one begins. Values without normal rows, or blocks, are
    omitted.
    """
    normal = int((~rows.anomaly).sum())
    if not normal:
        return {}
    windows = encoding.windows(rows.x)
    alarm = threshold(rows.scores)
    events = find_events(alarm, rows.scores, windows)
    false = ~overlaps(events.first, events.last, rows.anomaly, windows)
    values = {"alarms_per_day": float(false.sum() / (normal * encoding.step / DAY))}
    blocks = block_of_row(windows)
    is_normal = block_maxima(near_anomalies(rows.anomaly, windows) * 1.0, blocks) == 0
    if is_normal.any():
        if counts_events(threshold):
            alarm = np.zeros(len(alarm), bool)
            alarm[events.first] = True
        with_alarm = block_maxima(alarm * 1.0, blocks) > 0
        values["block_alarm_rate"] = float(with_alarm[is_normal].mean())
    return values


def overlaps(
    first: np.ndarray, last: np.ndarray, anomaly: np.ndarray, windows: Windows
) -> np.ndarray:
    """Return whether a row from `first` to `last`, (E,) rows each, is labelled anomalous."""
    order = windows.order
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    totals = np.append(0, np.cumsum(anomaly[order]))
    found: np.ndarray = totals[place[last] + 1] > totals[place[first]]
    return found


def near_anomalies(anomaly: np.ndarray, windows: Windows) -> np.ndarray:
    """Return whether a row shares a window with an anomalous one, (T,) bool."""
    run, step, reach = run_of_row(windows), windows.step_of_row, windows.window - 1
    labelled = np.sort(step[anomaly])
    bounds = windows.bounds
    low = np.maximum(step - reach, bounds[run])
    high = np.minimum(step + reach, bounds[run + 1] - 1)
    found: np.ndarray = np.searchsorted(labelled, high, "right") > np.searchsorted(labelled, low)
    return found
