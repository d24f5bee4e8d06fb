"""Volume under the surface: ranking metrics of time series that tolerate shifted labels.

Source: Paparrizos et al. 2022, "Volume under the surface: a new accuracy evaluation measure for
time-series anomaly detection". The values equal those of the packages vus and TSB-AD; the time is
proportional to rows x buffer instead of rows x buffer x thresholds.
"""

import numpy as np

from hourglass.evaluation.metrics.events import runs

THRESHOLDS = 250  # of the reference implementation; more give almost the same volumes
MAX_LAG = 400  # lags in which `period` searches
DEFAULT_PERIOD = 125  # TSB-AD's value for series without a period


def vus(
    scores: np.ndarray,
    anomaly: np.ndarray,
    buffer: int,
    segments: np.ndarray | None = None,
    thresholds: int = THRESHOLDS,
) -> dict[str, float]:
    """Return VUS_ROC and VUS_PR: the mean range-AUC over all buffer lengths 0, 1, ..., `buffer`.

    Scores and anomalies are (T,). `segments`, (T,), are ids of contiguous stretches, which no
    buffer crosses. The result is empty if all rows are normal or all are anomalous.
    """
    areas = range_aucs(scores, anomaly, np.arange(buffer + 1), segments, thresholds)
    if not len(areas):
        return {}
    roc, pr = areas.mean(0)
    return {"VUS_ROC": float(roc), "VUS_PR": float(pr)}


def range_aucs(
    scores: np.ndarray,
    anomaly: np.ndarray,
    buffers: np.ndarray,
    segments: np.ndarray | None = None,
    thresholds: int = THRESHOLDS,
) -> np.ndarray:
    """Return range-AUC-ROC and range-AUC-PR for each buffer length in rows, (B, 2).

    Each event is extended by half the buffer length on both sides, where the label falls from 1
    to sqrt(1/2). Recall is multiplied by the fraction of extended events with an alarm, so with
    several events and without a buffer the areas are at most those of scikit-learn; with one event
    they are equal, if there are at least as many thresholds as distinct scores. Thresholds are
    scores at evenly spaced ranks. The result is (0, 2) if all rows are normal or all are anomalous.

    Raises a ValueError for NaN and for negative buffers.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    if np.min(buffers, initial=0) < 0:
        raise ValueError(f"the buffer is {np.min(buffers)}, but must be at least 0")
    if anomaly.all() or not anomaly.any():
        return np.empty((0, 2))
    rows = len(scores)
    ranks = np.linspace(0, rows - 1, thresholds).astype(int)
    # Index of the highest threshold that each row reaches, (T,); threshold 0 is the highest.
    rising = np.sort(scores)[rows - 1 - ranks[::-1]]
    levels = thresholds - np.searchsorted(rising, scores, "right")
    alarms = _reached(levels, thresholds)
    certain = _reached(levels[anomaly], thresholds)  # true positives in the events themselves
    starts, stops = runs(anomaly, segments)
    place = _places(rows, segments, int(np.max(buffers, initial=0)))
    nearest, second = _distances(place, place[starts], place[stops - 1])
    near = np.flatnonzero(~anomaly & (nearest <= np.max(buffers, initial=0) // 2))
    nearest, second, near_levels = nearest[near], second[near], levels[near]
    areas = []
    for buffer in buffers:
        half = buffer // 2
        label = np.sqrt(1 - np.minimum(nearest, half) / max(buffer, 1))
        label[nearest > half] = 0
        label[second <= half] = 1  # two overlapping extensions add up to more than 1
        extension = _reached(near_levels, thresholds, label)
        existence = _reached(_event_levels(levels, place, starts, stops, half), thresholds)
        areas.append(_areas(alarms, certain, extension, existence / existence[-1], rows))
    return np.array(areas)


def period(values: np.ndarray) -> int:
    """Return the lag of the highest peak of the autocorrelation, TSB-AD's choice of `buffer`.

    `values` is one channel, (T,), of which the first 20,000 rows count. Lags below 6 and above
    303 are not accepted, in favour of DEFAULT_PERIOD; so are series without a peak.
    """
    values = np.asarray(values[:20_000], np.float64)
    if len(values) < 3 or np.ptp(values) == 0:
        return DEFAULT_PERIOD
    spectrum = np.fft.rfft(values - values.mean(), 2 * len(values))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: min(MAX_LAG + 1, len(values))][3:]
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:])) + 1
    if not len(peaks):
        return DEFAULT_PERIOD
    highest = int(peaks[correlation[peaks].argmax()])
    return highest + 3 if 3 <= highest <= 300 else DEFAULT_PERIOD


def _areas(
    alarms: np.ndarray,
    certain: np.ndarray,
    extension: np.ndarray,
    existence: np.ndarray,
    rows: int,
) -> tuple[float, float]:
    """Return the areas under the ROC and the PR curve from values per threshold, (K,) each."""
    true_positives = certain + extension
    # The mean of the events' size without and with those extensions that have alarms.
    positives = certain[-1] + extension / 2
    recall = np.minimum(true_positives / positives, 1) * existence
    false_positive_rate = (alarms - true_positives) / (rows - positives)
    x, y = np.r_[0, false_positive_rate, 1], np.r_[0, recall, 1]
    roc = np.diff(x) @ (y[1:] + y[:-1]) / 2
    return float(roc), float(np.diff(recall, prepend=0) @ (true_positives / alarms))


def _reached(levels: np.ndarray, count: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the total weight of the rows that reach each of `count` thresholds."""
    return np.bincount(levels, weights, count).cumsum()


def _places(rows: int, segments: np.ndarray | None, buffer: int) -> np.ndarray:
    """Return a position of each row, (T,), with gaps above `buffer` between segments."""
    place = np.arange(rows)
    if segments is not None:
        place[1:] += (buffer + 1) * np.cumsum(segments[1:] != segments[:-1])
    return place


def _distances(
    place: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each row to the nearest and to the second-nearest event, (T,) each.

    Events end at the positions `last` and start at `first`, so those behind and those ahead of a
    row are ordered.
    """
    far = 2 * int(place[-1]) + 2
    behind = np.searchsorted(last, place, "left")  # events that ended
    ahead = np.searchsorted(first, place, "right")  # events up to the present one
    ends, begins = np.r_[-far, -far, last], np.r_[first, 2 * far, 2 * far]
    candidates = np.stack(
        [
            place - ends[behind + 1],
            place - ends[behind],
            begins[ahead] - place,
            begins[ahead + 1] - place,
        ]
    )
    nearest, second = np.partition(candidates, 1, axis=0)[:2]
    return nearest, second


def _event_levels(
    levels: np.ndarray, place: np.ndarray, starts: np.ndarray, stops: np.ndarray, half: int
) -> np.ndarray:
    """Return the highest threshold reached in each event, extended by `half` rows on each side.

    Events whose extensions overlap are one.
    """
    first, last = place[starts], place[stops - 1]
    apart = first[1:] - last[:-1] > 2 * half
    begins = np.searchsorted(place, first[np.r_[True, apart]] - half)
    ends = np.searchsorted(place, last[np.r_[apart, True]] + half, "right")
    bounds = np.stack([begins, ends], 1).ravel()
    padded = np.append(levels, levels.max())  # an event may end with the last row
    highest: np.ndarray = np.minimum.reduceat(padded, bounds)[::2]
    return highest
