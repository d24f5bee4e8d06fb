import warnings

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics

SEEDS = pytest.mark.parametrize("seed", range(6))


def draw(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, some of them alike and most above 1, and which samples are anomalies."""
    rng = np.random.default_rng(seed)
    anomaly = rng.random(n) < 0.3
    return np.round(rng.lognormal(2, 1, n) + 5 * anomaly, int(rng.integers(0, 3))), anomaly


def threshold(value: float) -> Threshold:
    return Threshold(value, "manual", {}, 0)


def pairs_in_order(scores: np.ndarray, anomaly: np.ndarray) -> float:
    """Return in how many pairs the anomaly has the higher score than the normal sample."""
    gap = scores[anomaly][:, None] - scores[~anomaly]
    return float((gap > 0).mean() + (gap == 0).mean() / 2)


def area_of_steps(scores: np.ndarray, anomaly: np.ndarray) -> float:
    """Return the sum over thresholds of recall gained times precision there."""
    area, recall = 0.0, 0.0
    for value in np.unique(scores)[::-1]:
        alarm = scores >= value
        found = (alarm & anomaly).sum() / anomaly.sum()
        area += (found - recall) * anomaly[alarm].mean()
        recall = found
    return float(area)


@SEEDS
def test_auroc_is_the_share_of_pairs_in_order(seed):
    scores, anomaly = draw(seed)
    found = metrics.detection(scores, anomaly)["AUROC"]
    assert found == pytest.approx(pairs_in_order(scores, anomaly))


@SEEDS
def test_average_precision_is_the_area_of_the_steps(seed):
    scores, anomaly = draw(seed)
    found = metrics.detection(scores, anomaly)["average_precision"]
    assert found == pytest.approx(area_of_steps(scores, anomaly))


def test_prevalence_is_the_share_of_anomalies():
    anomaly = np.array([True, False, False, False])
    assert metrics.detection(np.arange(4), anomaly)["prevalence"] == 0.25


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scores_of_any_size_that_tell_all_apart_have_auroc_1(scale):
    # A sigmoid, as torchmetrics has, would make all large scores alike: AUROC 0.5.
    scores, anomaly = scale * np.array([50.0, 51, 52, 60, 61]), np.arange(5) > 2
    assert metrics.detection(scores, anomaly)["AUROC"] == 1.0


def test_scores_the_wrong_way_round_have_auroc_0():
    assert metrics.detection(np.array([3.0, 2, 1]), np.array([False, False, True]))["AUROC"] == 0


def test_constant_scores_tell_nothing_apart():
    found = metrics.detection(np.full(8, 7.0), np.arange(8) < 2)
    assert found["AUROC"] == found["AUROC_low"] == found["AUROC_high"] == 0.5
    for name in ("average_precision", "prevalence", "precision_at_anomalies"):
        assert found[name] == 0.25
    assert found["FPR_at_95_recall"] == 1


@pytest.mark.parametrize("anomalous", [False, True])
def test_samples_of_one_kind_have_no_detection_metrics(anomalous):
    assert metrics.detection(np.arange(4.0), np.full(4, anomalous)) == {}


# By hand: the alarms are the scores above 2.
TABLES = {
    "one of each": (
        [3, 1, 3, 1],
        [1, 1, 0, 0],
        {"precision": 0.5, "recall": 0.5, "F1": 0.5, "false_alarm_rate": 0.5},
    ),
    "2 hits, 1 miss, 1 false alarm, 3 quiet": (
        [3, 4, 2, 5, 1, 0, 2],
        [1, 1, 1, 0, 0, 0, 0],
        {"precision": 2 / 3, "recall": 2 / 3, "F1": 2 / 3, "false_alarm_rate": 0.25},
    ),
    "no alarm": ([1, 2], [1, 0], {"recall": 0, "F1": 0, "false_alarm_rate": 0}),
    "no anomaly": ([1, 3], [0, 0], {"precision": 0, "false_alarm_rate": 0.5}),
    "no anomaly, no alarm": ([1, 2], [0, 0], {"false_alarm_rate": 0}),
    "only anomalies": ([1, 3], [1, 1], {"precision": 1, "recall": 0.5, "F1": 2 / 3}),
}


@pytest.mark.parametrize("name", TABLES)
def test_alarms_are_counted_as_by_hand(name):
    scores, anomaly, expected = TABLES[name]
    found = metrics.at_threshold(np.array(scores), np.array(anomaly, bool), threshold(2))
    assert found == pytest.approx(expected)


@SEEDS
def test_alarms_are_counted_as_scikit_learn_does(seed):
    scores, anomaly = draw(seed)
    level = float(np.quantile(scores, 0.7))
    alarm = scores > level
    (quiet, false), _ = confusion_matrix(anomaly, alarm)
    assert metrics.at_threshold(scores, anomaly, threshold(level)) == pytest.approx(
        {
            "precision": precision_score(anomaly, alarm),
            "recall": recall_score(anomaly, alarm),
            "F1": f1_score(anomaly, alarm),
            "false_alarm_rate": false / (false + quiet),
        }
    )


def test_nan_is_no_metric():
    scores, anomaly = np.array([1.0, np.nan]), np.array([False, True])
    for measure in (metrics.detection, metrics.roc, metrics.precision_recall):
        with pytest.raises(ValueError, match="NaN"):
            measure(scores, anomaly)


@pytest.mark.parametrize("measure", ["detection", "at_threshold", "reconstruction_error"])
def test_metrics_are_plain_floats_as_json_wants_them(measure):
    arguments = [threshold(5)] if measure == "at_threshold" else []
    found = getattr(metrics, measure)(*draw(0), *arguments)
    assert {type(value) for value in found.values()} == {float}


def test_reconstruction_errors_are_averaged_by_kind():
    found = metrics.reconstruction_error(np.array([1.0, 3, 10]), np.array([False, False, True]))
    assert found == {"reconstruction_error_normal": 2, "reconstruction_error_anomalous": 10}


def test_samples_that_are_missing_have_no_reconstruction_error():
    found = metrics.reconstruction_error(np.array([1.0, 3]), np.array([False, False]))
    assert found == {"reconstruction_error_normal": 2}


@SEEDS
def test_the_roc_curve_goes_from_no_alarms_to_all(seed):
    curve = metrics.roc(*draw(seed)).to_numpy()
    assert curve[[0, -1]].tolist() == [[0, 0], [1, 1]]


@SEEDS
def test_the_area_below_the_roc_curve_is_auroc(seed):
    scores, anomaly = draw(seed)
    curve = metrics.roc(scores, anomaly)
    area = np.trapezoid(curve.recall, curve.false_positive_rate)
    assert area == pytest.approx(pairs_in_order(scores, anomaly))


@SEEDS
def test_the_precision_recall_curve_goes_from_no_recall_to_all_at_the_prevalence(seed):
    scores, anomaly = draw(seed)
    curve = metrics.precision_recall(scores, anomaly).to_numpy()
    assert curve[0].tolist() == [0, 1]
    assert curve[-1].tolist() == [1, pytest.approx(anomaly.mean())]


@SEEDS
@pytest.mark.parametrize("curve", ["roc", "precision_recall"])
def test_recall_never_falls_along_a_curve(seed, curve):
    assert getattr(metrics, curve)(*draw(seed)).recall.is_monotonic_increasing


@SEEDS
def test_the_steps_below_the_precision_recall_curve_are_average_precision(seed):
    scores, anomaly = draw(seed)
    curve = metrics.precision_recall(scores, anomaly)
    area = (np.diff(curve.recall) * curve.precision[1:]).sum()
    assert area == pytest.approx(area_of_steps(scores, anomaly), abs=0.01)


def test_constant_scores_give_the_curve_of_chance():
    curve = metrics.roc(np.full(8, 7.0), np.arange(8) < 2)
    assert curve.to_numpy().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("curve", ["roc", "precision_recall"])
def test_without_anomalies_a_curve_invents_no_recall(curve):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = getattr(metrics, curve)(np.arange(4.0), np.zeros(4, bool))
    assert found.recall.isna().all()


def test_without_normal_samples_a_curve_invents_no_false_positive_rate():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = metrics.roc(np.arange(4.0), np.ones(4, bool))
    assert found.false_positive_rate.isna().all()
