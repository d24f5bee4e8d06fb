"""Calibration on blocks of series: its false alarms on autocorrelated scores, and its errors."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from hourglass.data.blocks import block_of_row, run_of_row
from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import SPLITS, PreparedInMemory, Samples
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.windows import find_windows
from hourglass.detection.block_scores import (
    block_onsets,
    calibration_values,
    duration_text,
    expected_alarms_per_day,
)
from hourglass.detection.calibrators import AlarmsPerDay, Calibrator, Conformal, KSigma, MaxF1
from hourglass.detection.calibrators.from_settings import calibrate, check_calibration_samples
from hourglass.detection.events import find_events
from hourglass.detection.folds import FoldScores
from hourglass.detection.threshold import Threshold
from hourglass.evaluation.metrics.series import SeriesRows, normal_alarms
from tests.tables import number_encoding

WINDOW, STEP = 32, 60.0  # a block lasts 32 minutes
BLOCKS_PER_DAY = 45
COLUMNS = (Column("time", "time"), Column("score"))


def series(*sizes: int, start: float = 0.0) -> PreparedInMemory:
    """Return normal splits of the given sizes, of AR(1) values with phi 0.9, a row a minute."""
    rng = np.random.default_rng([int(start), *sizes])
    steps = np.arange(sum(sizes) + 300)
    values = lfilter([1], [1, -0.9], rng.normal(size=len(steps)))
    x = np.stack([start + STEP * steps, values], 1)[300:]
    encoding = SeriesEncoding.fit(COLUMNS, x)
    encoding = SeriesEncoding(encoding.columns, roles=encoding.roles, window=WINDOW, step=STEP)
    parts = np.split(x, np.cumsum(sizes)[:-1])
    samples = {
        name: Samples.normal(part) for name, part in zip(SPLITS[-len(sizes) :], parts, strict=True)
    }
    card = {"data": "hum", "scaling": encoding.to_dict(), "split_by": "time"}
    return PreparedInMemory(Path("hum"), card, samples)


def values_of(x: np.ndarray) -> np.ndarray:
    """Return the scores of rows: their values."""
    return np.asarray(x[:, 1])


def threshold_of(calibrator: Calibrator, prepared: PreparedInMemory) -> Threshold:
    return calibrate(calibrator, prepared, lambda name: values_of(prepared.x(name)))


def alarm_share(threshold: Threshold, prepared: PreparedInMemory) -> float:
    """Return the share of blocks of the test split with an alarm, or in which one begins."""
    x = prepared.x("test")
    rows, encoding = SeriesRows(x, values_of(x), np.zeros(len(x), bool)), prepared.scaling
    assert isinstance(encoding, SeriesEncoding)
    return normal_alarms(rows, encoding, threshold)["block_alarm_rate"]


def shares(calibrator: Calibrator, by_row: bool = False) -> tuple[float, float]:
    """Return the mean share of 80 series, and its standard error; `by_row` calibrates on rows."""
    found = []
    for start in range(80):
        prepared = series(100 * WINDOW, 10, 100 * WINDOW, start=1000.0 * start)
        threshold = (
            calibrator(values_of(prepared.x("calibration")))
            if by_row
            else threshold_of(calibrator, prepared)
        )
        found.append(alarm_share(threshold, prepared))
    return float(np.mean(found)), float(np.std(found) / np.sqrt(len(found)))


@pytest.mark.parametrize(
    ("calibrator", "promised"),
    [(Conformal(0.1), 0.1), (AlarmsPerDay(4.5), 4.5 / BLOCKS_PER_DAY)],
    ids=lambda value: type(value).__name__,
)
def test_the_share_of_normal_blocks_with_an_alarm_is_the_promised_one(calibrator, promised):
    mean, error = shares(calibrator)
    assert mean <= promised + 3 * error
    assert mean >= promised / 1.5  # the threshold is not needlessly high


@pytest.mark.parametrize("seed", range(4))
def test_onsets_are_those_of_a_loop_and_bound_the_events_of_every_threshold(seed):
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([1, 1, 1, 1, 2, 4, 12], 300)).astype(float)
    windows = find_windows(time, None, 1.0, 8.0, 6)
    scores = lfilter([1], [1, -0.9], rng.normal(size=300)).round(1)  # with ties
    blocks, runs, steps = block_of_row(windows), run_of_row(windows), windows.step_of_row
    onsets = block_onsets(scores, windows)
    for block, onset in enumerate(onsets):
        rows = np.flatnonzero(blocks == block)
        begins = [
            scores[row]
            for row in rows
            if all(
                scores[other] < scores[row]
                for other in range(row)
                if runs[other] == runs[row] and steps[row] - steps[other] <= 6
            )
        ]
        assert onset == max([*begins, scores[rows].min()])
    for threshold in np.unique(scores):
        events = find_events(scores > threshold, scores, windows)
        assert set(blocks[events.first]) <= set(np.flatnonzero(onsets > threshold))


def test_calibration_on_rows_breaks_the_promise_for_blocks():
    mean, _ = shares(Conformal(0.1), by_row=True)
    assert mean > 0.3


def test_the_budget_is_the_expected_rate_of_alarms_per_day():
    prepared = series(99 * WINDOW, 10, 10)
    threshold = threshold_of(AlarmsPerDay(4.5), prepared)
    assert threshold.method == "alarms_per_day"
    assert threshold.n == 99
    assert threshold.settings == {
        "alarms_per_day": 4.5,
        "alpha": pytest.approx(0.1),
        "per": "block of 32 steps, onsets of events",
    }
    assert expected_alarms_per_day(threshold, prepared.scaling) == pytest.approx(4.5)
    x = prepared.x("calibration")
    onsets = block_onsets(values_of(x), prepared.scaling.windows(x))
    assert threshold.value == Conformal(0.1)(onsets).value


def test_calibrators_of_normal_scores_count_blocks_and_labelled_ones_rows():
    prepared = series(10 * WINDOW, 64, 10)
    threshold = threshold_of(KSigma(), prepared)
    assert (threshold.n, threshold.settings["per"]) == (10, "block of 32 steps")
    prepared.split("tuning").anomaly[5:20] = True
    labelled = threshold_of(MaxF1(), prepared)
    assert (labelled.n, labelled.settings) == (64, {})
    assert expected_alarms_per_day(labelled, prepared.scaling) is None


def test_other_samples_keep_their_scores():
    x = np.arange(40.0)[:, None]
    np.testing.assert_array_equal(calibration_values(number_encoding(x), x, x[:, 0]), x[:, 0])


def test_alarms_per_day_of_samples_that_are_no_series_are_refused(refusal):
    message = refusal(AlarmsPerDay(1.0), np.arange(100.0))
    assert "alarms_per_day needs a time series" in message
    card = {"data": "plain", "scaling": number_encoding(np.arange(9.0)[:, None]).to_dict()}
    assert "needs a time series" in refusal(check_calibration_samples, card, AlarmsPerDay(1.0))


def test_a_budget_that_allows_an_alarm_in_every_block_is_refused(refusal):
    message = refusal(threshold_of, AlarmsPerDay(50), series(640, 10, 10))
    assert "alarms_per_day is 50, but a block of one window lasts 0.0222 days" in message
    assert "below 45" in message


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
def test_a_budget_that_is_no_positive_number_is_refused(budget, refusal):
    assert f"alarms_per_day is {budget}" in refusal(AlarmsPerDay, budget)


def test_a_short_calibration_split_names_the_days_that_are_needed(refusal):
    message = refusal(threshold_of, AlarmsPerDay(0.5), series(10 * WINDOW, 10, 10))
    assert (
        "needs 89 blocks of 32 steps (1.98 days) of calibration data, but there are 10" in message
    )


@pytest.mark.parametrize(("train", "problem"), [(100, ""), (50, "together have 70")])
def test_a_pipeline_counts_blocks_before_training(train, problem, refusal):
    card = series(640, 10, 10).card | {
        "splits": {
            "train": {"normal": 1, "blocks": train},
            "validation": {"normal": 1, "blocks": 10},
            "calibration": {"normal": 1, "blocks": 10},
        }
    }
    calibrator = AlarmsPerDay(0.5)
    if problem:
        assert problem in refusal(check_calibration_samples, card, calibrator)
        return
    note = check_calibration_samples(card, calibrator)
    assert "hum has 10 calibration blocks" in note
    assert "needs 89 blocks of 32 steps (1.98 days)" in note
    assert "120 blocks from 10 folds" in note


def test_folds_give_the_maxima_of_blocks():
    prepared = series(20 * WINDOW, 5 * WINDOW, 5 * WINDOW, 10, 10)
    folds = FoldScores(prepared, lambda fold: values_of, seed=0)
    own = calibration_values(
        prepared.scaling, prepared.x("calibration"), values_of(prepared.x("calibration"))
    )
    found = folds(own)
    whole = np.concatenate([prepared.x(name) for name in ("calibration", "train", "validation")])
    assert len(found) == 30
    for value, block in zip(found, np.split(values_of(whole), 30), strict=True):
        assert value == block.max()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 seconds"), (60, "1 minute"), (5400, "1.5 hours"), (864_000, "10 days")],
)
def test_durations_in_words(seconds, text):
    assert duration_text(seconds) == text
