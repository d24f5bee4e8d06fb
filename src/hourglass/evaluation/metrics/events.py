"""Metrics of the alarms of a time series, counted by event instead of by row.

A row is a timestamp. An event is a run of consecutive anomalous rows. `segments` holds the id of
the contiguous stretch that each row belongs to, (T,); no event continues into another stretch.
"""

import numpy as np


def runs(mask: np.ndarray, segments: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row and the row after the last of each run of True in a (T,) mask."""
    first = np.zeros(len(mask), bool)
    first[:1] = True
    if segments is not None:
        first[1:] = segments[1:] != segments[:-1]
    last = np.append(first[1:], True)
    starts = mask & (first | ~np.append(False, mask[:-1]))
    ends = mask & (last | ~np.append(mask[1:], False))
    return np.flatnonzero(starts), np.flatnonzero(ends) + 1


def event_metrics(
    alarm: np.ndarray, anomaly: np.ndarray, segments: np.ndarray | None = None
) -> dict[str, float]:
    """Return the number of events, of false alarms, and event-wise precision, recall and F1.

    An event is detected if any of its rows has an alarm. A false alarm is a run of alarms that
    overlaps no event. Precision is detected events / (detected events + false alarms).
    detection_delay is the median number of rows from the start of a detected event to its first
    alarm. Ratios without a denominator are omitted.
    """
    delays = detection_delays(alarm, anomaly, segments)
    detected, events = int((~np.isnan(delays)).sum()), len(delays)
    false_alarms = int((_counts(anomaly, *runs(alarm, segments)) == 0).sum())
    values = {"events": float(events), "false_alarm_events": float(false_alarms)}
    if events and detected + false_alarms:
        values["event_precision"] = detected / (detected + false_alarms)
    if events:
        values["event_recall"] = detected / events
        values["event_F1"] = 2 * detected / (detected + false_alarms + events)
    if detected:
        values["detection_delay"] = float(np.nanmedian(delays))
    return values


def detection_delays(
    alarm: np.ndarray, anomaly: np.ndarray, segments: np.ndarray | None = None
) -> np.ndarray:
    """Return the rows from the start of each event to its first alarm, NaN if it has none."""
    starts, stops = runs(anomaly, segments)
    alarms = np.append(np.flatnonzero(alarm), len(alarm))  # the last one is after all events
    first = alarms[np.searchsorted(alarms, starts)]
    return np.where(first < stops, first - starts, np.nan)


def range_based(
    alarm: np.ndarray, anomaly: np.ndarray, segments: np.ndarray | None = None
) -> dict[str, float]:
    """Return range-based precision, recall and F1 (Tatbul et al. 2018, flat bias, alpha 0).

    The recall of an event is the fraction of its rows that have alarms, divided by the number of
    runs of alarms that overlap it, so fragmented alarms count less. Precision is the same with
    alarms and events exchanged. Ratios without a denominator are omitted.
    """
    values = {}
    for name, ranges, others in (
        ("range_precision", alarm, anomaly),
        ("range_recall", anomaly, alarm),
    ):
        starts, stops = runs(ranges, segments)
        other_starts, other_stops = runs(others, segments)
        before = np.searchsorted(other_stops, starts, "right")
        overlapping = np.searchsorted(other_starts, stops) - before
        covered = _counts(others, starts, stops) / (stops - starts)
        if len(starts):
            values[name] = float((covered / np.maximum(overlapping, 1)).mean())
    if len(values) == 2:
        precision, recall = values["range_precision"], values["range_recall"]
        total = precision + recall
        values["range_F1"] = 2 * precision * recall / total if total else 0.0
    return values


def _counts(mask: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the number of True in each half-open range of rows."""
    totals = np.append(0, np.cumsum(mask))
    return totals[stops] - totals[starts]
