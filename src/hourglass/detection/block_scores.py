"""Calibration of series: the highest score of each block replaces the scores of rows.

The scores of neighbouring rows depend on each other, and a conformal threshold on them says nothing
about how often there is an alarm. One value per block of `window` steps does: if the blocks are
exchangeable, the expected share of normal blocks with an alarm is at most `alpha`. Blocks of a
stationary series are so approximately, if scores depend on each other over less than a block. A
score of whole windows is above the threshold in two or three neighbouring blocks at once: the
expected share still holds, but varies more than that of independent blocks.

A budget of alarms per day counts events, and such an event only once. For it, the value of a block
is the highest score at which an event begins there: that of a row above all rows of the window of
steps before it. An event that begins in a block at a threshold begins with such a row, so blocks
with a value above the threshold are at least as many as events.

Days are sums of steps: without dates, the unit of a series' times is a second by convention, and
without a column of times, a step is one second.
"""

from dataclasses import replace

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.blocks import block_count, block_of_row, run_of_row
from hourglass.data.scaling import Encoding
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.windows import Windows
from hourglass.detection.calibrators import Calibrator, LabelledCalibrator
from hourglass.detection.calibrators.alarms_per_day import DAY
from hourglass.detection.threshold import Threshold

EVENTS = ", onsets of events"  # the end of a threshold's setting `per`
# Units of durations in messages, and their seconds.
UNITS = (("day", DAY), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))


def calibration_values(
    encoding: Encoding, x: np.ndarray, scores: np.ndarray, events: bool = False
) -> np.ndarray:
    """Return the values that set a threshold: scores, (N,), or of a series those of blocks, (B,).

    These are the highest scores, or the highest at which an event begins if `events`.
    """
    if not isinstance(encoding, SeriesEncoding) or not len(x):
        return scores
    windows = encoding.windows(x)
    if events:
        return block_onsets(scores, windows)
    return block_maxima(scores, block_of_row(windows))


def calibration_count(encoding: Encoding, x: np.ndarray) -> int:
    """Return the number of values that `calibration_values` gives for samples, (N, *S)."""
    if isinstance(encoding, SeriesEncoding) and len(x):
        return block_count(encoding.windows(x))
    return len(x)


def block_maxima(scores: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return the highest score of each block, (B,), for rows, (T,) each."""
    maxima = np.full(int(blocks.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(maxima, blocks, scores)
    return maxima


def block_onsets(scores: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the highest score at which an event begins in each block, (B,), for rows, (T,).

    A block in which none begins at any threshold has the lowest of its scores.
    """
    blocks = block_of_row(windows)
    begins = scores > highest_before(scores, windows)
    onsets = block_maxima(np.where(begins, scores, -np.inf), blocks)
    return np.maximum(onsets, -block_maxima(-scores, blocks))


def highest_before(scores: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the highest score in the window of steps before each row's, (T,), within its run."""
    from scipy.ndimage import maximum_filter1d

    # A window of empty steps before each run; then the filter is a maximum of one array.
    size = windows.window
    place = windows.step_of_row + size * (run_of_row(windows) + 1)
    steps = np.full(int(place.max(initial=0)) + 1, -np.inf)
    np.maximum.at(steps, place, scores)
    centred = maximum_filter1d(steps, size, mode="constant", cval=-np.inf)
    found: np.ndarray = centred[place - size + size // 2]
    return found


def block_seconds(encoding: SeriesEncoding) -> float:
    """Return the duration of a block in seconds."""
    return encoding.step * encoding.window


def for_data(calibrator: Calibrator, encoding: Encoding) -> Calibrator:
    """Return a calibrator for the values of a data set: it gets the duration of blocks."""
    if isinstance(encoding, SeriesEncoding):
        return calibrator.for_blocks(block_seconds(encoding))
    return calibrator


def set_threshold(calibrator: Calibrator, encoding: Encoding, values: np.ndarray) -> Threshold:
    """Return the threshold from values, (n,); of a series, its settings name the block.

    Raises a UserError if there are fewer blocks than the calibrator needs.
    """
    if not isinstance(encoding, SeriesEncoding) or isinstance(calibrator, LabelledCalibrator):
        return calibrator(values)
    if 0 < len(values) < calibrator.min_samples:
        raise UserError(
            f"{calibrator.method} needs {blocks_text(calibrator.min_samples, encoding)} of "
            f"calibration data, but there are {len(values):,}; give a longer series, lower "
            "`window`, or change the calibrator's settings."
        )
    threshold = calibrator(values)
    per = f"block of {encoding.window} steps" + calibrator.counts_events * EVENTS
    return replace(threshold, settings={**threshold.settings, "per": per})


def is_per_block(threshold: Threshold) -> bool:
    """Return whether the false-alarm rate of a threshold is that of the blocks of a series."""
    return "per" in threshold.settings


def counts_events(threshold: Threshold) -> bool:
    """Return whether the false-alarm rate is the share of blocks in which an event begins."""
    return str(threshold.settings.get("per", "")).endswith(EVENTS)


def expected_alarms_per_day(threshold: Threshold, encoding: SeriesEncoding) -> float | None:
    """Return the expected number of blocks with an alarm per day of normal data, if it is known.

    There are at most as many events, if alarms at most a window apart belong to one event. By a
    calibrator that counts events, it is the number of blocks in which one begins.
    """
    if threshold.false_alarm_rate is None or not is_per_block(threshold):
        return None
    return threshold.false_alarm_rate * DAY / block_seconds(encoding)


def blocks_text(count: int, encoding: SeriesEncoding) -> str:
    """Return a number of blocks in words, such as "19 blocks of 64 steps (4.2 days)"."""
    duration = duration_text(count * block_seconds(encoding))
    return f"{counted(count, 'block')} of {encoding.window} steps ({duration})"


def duration_text(seconds: float) -> str:
    """Return a duration in the largest unit of which it is at least one, such as "1.5 hours"."""
    name, size = next((unit for unit in UNITS if seconds >= unit[1]), UNITS[-1])
    value = f"{seconds / size:.3g}"
    return f"{value} {name}" if value == "1" else f"{value} {name}s"
