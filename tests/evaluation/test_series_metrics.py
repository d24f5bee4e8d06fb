"""Metrics of time series: frozen values of TSB-AD 1.5, scikit-learn, and hand counts."""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.evaluation import metrics
from hourglass.evaluation.metrics import events
from hourglass.evaluation.metrics.vus import DEFAULT_PERIOD, period, range_aucs, vus

EVENTS = {
    "separate": [(10, 14), (40, 45)],
    "merging": [(10, 12), (14, 16), (30, 32), (50, 55)],
    "edges": [(0, 4), (30, 31), (56, 60)],
}
SEEDS = pytest.mark.parametrize("seed", range(3))


def labels(bounds: list[tuple[int, int]], rows: int = 60) -> np.ndarray:
    """Return the mask of the rows in half-open ranges."""
    mask = np.zeros(rows, bool)
    for start, stop in bounds:
        mask[start:stop] = True
    return mask


def wave(rows: int = 60) -> np.ndarray:
    """Return a score with equal values, without a generator whose stream may change."""
    steps = np.arange(rows)
    return np.round(np.sin(steps * steps / 7) + 0.02 * steps, 1)


def series(seed: int, rows: int = 4000) -> tuple[np.random.Generator, np.ndarray]:
    """Return a generator, and the labels of ten events of 20 rows."""
    starts = [i * (rows // 10) + 100 for i in range(10)]
    return np.random.default_rng(seed), labels([(s, s + 20) for s in starts], rows)


# VUS-ROC and VUS-PR of TSB-AD 1.5 (generate_curve, version "opt", 250 thresholds); the package
# vus 0.0.6 (RangeAUC_volume_opt) gives the same.
@pytest.mark.parametrize(
    ("name", "buffer", "roc", "pr"),
    [
        ("separate", 0, 0.5577342048, 0.2083115312),
        ("separate", 5, 0.6330345774, 0.2466056981),
        ("separate", 12, 0.7178373737, 0.3290619294),
        ("merging", 0, 0.4211502783, 0.1910077921),
        ("merging", 5, 0.5615166255, 0.2776040401),
        ("merging", 12, 0.7203820995, 0.4656578890),
        ("edges", 0, 0.4687726943, 0.2106634604),
        ("edges", 5, 0.5546971872, 0.2620590941),
        ("edges", 12, 0.6492576755, 0.3580522241),
    ],
)
def test_volumes_agree_with_tsb_ad(name, buffer, roc, pr):
    volumes = vus(wave(), labels(EVENTS[name]), buffer)
    assert volumes == pytest.approx({"VUS_ROC": roc, "VUS_PR": pr}, abs=1e-9)


@SEEDS
def test_without_a_buffer_the_areas_of_one_event_are_those_of_scikit_learn(seed):
    rng, anomaly = np.random.default_rng(seed), labels([(70, 110)], 200)
    scores = np.round(rng.normal(size=200) + anomaly, 1)
    ((roc, pr),) = range_aucs(scores, anomaly, np.array([0]))
    assert roc == pytest.approx(roc_auc_score(anomaly, scores))
    assert pr == pytest.approx(average_precision_score(anomaly, scores))


@SEEDS
def test_random_scores_have_a_precision_near_the_prevalence(seed):
    rng, anomaly = series(seed)
    scores = rng.normal(size=len(anomaly))
    ranking = metrics.detection(scores, anomaly, intervals=False)
    assert ranking["average_precision"] == pytest.approx(anomaly.mean(), abs=0.03)
    # With buffers, slightly more rows are anomalous; random alarms miss some events at first.
    assert vus(scores, anomaly, 10)["VUS_PR"] == pytest.approx(anomaly.mean(), abs=0.03)


@pytest.mark.parametrize("buffer", [0, 1, 40])
def test_perfect_scores_have_volumes_of_one(buffer):
    _, anomaly = series(0)
    assert vus(anomaly.astype(float), anomaly, buffer) == {"VUS_ROC": 1, "VUS_PR": 1}


@SEEDS
def test_volumes_depend_on_the_order_of_scores_only(seed):
    rng, anomaly = series(seed)
    scores = rng.normal(size=len(anomaly)) + anomaly
    assert vus(np.exp(3 * scores), anomaly, 20) == vus(scores, anomaly, 20)


@SEEDS
def test_early_scores_cost_less_with_a_buffer(seed):
    rng, anomaly = series(seed)
    early = np.roll(anomaly, -10) + 0.1 * rng.normal(size=len(anomaly))
    slices = range_aucs(early, anomaly, np.array([0, 20, 40]))
    assert (np.diff(slices, axis=0) > 0).all()


def test_buffers_end_with_their_segment():
    # Rows on either side of a border, in one series and as two series with a gap between them.
    scores, anomaly = wave(40), labels([(12, 20), (27, 30)], 40)
    segments = np.repeat([0, 1], 20)
    gap = np.full(100, scores.min() - 1)
    apart = np.concatenate([scores[:20], gap, scores[20:]])
    apart_anomaly = np.concatenate([anomaly[:20], np.zeros(100, bool), anomaly[20:]])
    buffers = np.array([10])
    joined = range_aucs(scores, anomaly, buffers, segments, 1000)[0, 1]
    # The rows of the gap rank last, when recall is 1 already, so they change nothing.
    assert joined == pytest.approx(range_aucs(apart, apart_anomaly, buffers, None, 1000)[0, 1])
    assert joined != pytest.approx(range_aucs(scores, anomaly, buffers, None, 1000)[0, 1])


def test_volumes_of_a_long_series_take_less_than_a_second():
    rng, anomaly = series(0, 22_000)
    start = time.perf_counter()
    vus(rng.normal(size=len(anomaly)), anomaly, 125)
    assert time.perf_counter() - start < 1


def test_rows_of_one_kind_have_no_volume():
    assert vus(wave(), np.zeros(60, bool), 5) == vus(wave(), np.ones(60, bool), 5) == {}


def test_scores_without_a_rank_and_negative_buffers_raise():
    anomaly = labels(EVENTS["edges"])
    with pytest.raises(ValueError, match="scores hold NaN"):
        vus(np.where(anomaly, np.nan, 1), anomaly, 5)
    with pytest.raises(ValueError, match="the buffer is -1"):
        range_aucs(wave(), anomaly, np.array([-1]))


@pytest.mark.parametrize("length", [24, 125, 288])
def test_the_period_is_that_of_the_series(length):
    steps = np.arange(3000)
    noise = np.random.default_rng(0).normal(size=3000)
    assert period(np.sin(2 * np.pi * steps / length) + 0.01 * noise) == pytest.approx(length, abs=1)


@pytest.mark.parametrize("values", [np.ones(50), np.arange(500.0), np.zeros(0)])
def test_a_series_without_a_period_has_the_default(values):
    assert period(values) == DEFAULT_PERIOD


# Range-based precision and recall of TSB-AD 1.5 (range_recall_new with alpha 0).
@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [
        ("separate", 0.1703703704, 0.6250000000),
        ("merging", 0.2666666667, 0.3250000000),
        ("edges", 0.2000000000, 0.2083333333),
    ],
)
def test_event_metrics_agree_with_tsb_ad(name, precision, recall):
    alarm, anomaly = wave() > 0.8, labels(EVENTS[name])
    values = events.range_based(alarm, anomaly)
    assert values["range_recall"] == pytest.approx(recall)
    assert values["range_precision"] == pytest.approx(precision)


def test_events_false_alarms_and_delays_agree_with_a_hand_count():
    anomaly = labels([(10, 15), (20, 25), (40, 50)])
    alarm = labels([(2, 4), (8, 9), (13, 14), (24, 30), (33, 34)])
    assert events.event_metrics(alarm, anomaly) == {
        "events": 3,
        "false_alarm_events": 3,  # rows 2-3, 8 and 33; rows 24-29 touch an event
        "event_precision": 2 / 5,
        "event_recall": 2 / 3,
        "event_F1": 4 / 8,
        "detection_delay": 3.5,  # 3 and 4 rows
    }


def test_an_event_ends_with_its_segment():
    anomaly, segments = labels([(10, 30)]), np.repeat([7, 3], [20, 40])
    alarm = labels([(12, 16)])
    assert events.event_metrics(alarm, anomaly, segments)["event_recall"] == 1 / 2
    np.testing.assert_array_equal(events.runs(anomaly, segments), [[10, 20], [20, 30]])
    assert events.range_based(alarm, anomaly, segments)["range_recall"] == 4 / 10 / 2


@pytest.mark.parametrize(("alarms", "anomalies"), [(0, 0), (0, 5), (5, 0)])
def test_undefined_event_metrics_are_omitted(alarms, anomalies):
    alarm, anomaly = labels([(0, alarms)]), labels([(20, 20 + anomalies)])
    values = events.event_metrics(alarm, anomaly) | events.range_based(alarm, anomaly)
    assert ("event_precision" in values) == ("event_recall" in values and alarms > 0)
    assert ("event_recall" in values) == ("range_recall" in values) == (anomalies > 0)
    assert ("range_precision" in values) == (alarms > 0)
    assert "detection_delay" not in values
    assert all(np.isfinite(value) for value in values.values())
