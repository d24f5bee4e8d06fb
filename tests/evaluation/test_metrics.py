"""Metrics against hand counts, scikit-learn and their definitions."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics

SEEDS = pytest.mark.parametrize("seed", range(6))


def draw(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, some of them equal and most above 1, and the mask of anomalies."""
    rng = np.random.default_rng(seed)
    anomaly = rng.random(n) < 0.3
    return np.round(rng.lognormal(2, 1, n) + 5 * anomaly, int(rng.integers(0, 3))), anomaly


def threshold(value: float) -> Threshold:
    return Threshold(value, "manual", {}, 0)


def pairs_in_order(scores: np.ndarray, anomaly: np.ndarray) -> float:
    """Return the fraction of pairs in which the anomaly has the higher score, ties by half."""
    gap = scores[anomaly][:, None] - scores[~anomaly]
    return float((gap > 0).mean() + (gap == 0).mean() / 2)


def area_of_steps(scores: np.ndarray, anomaly: np.ndarray) -> float:
    """Return the sum over thresholds of the gain in recall times the precision."""
    area, recall = 0.0, 0.0
    for value in np.unique(scores)[::-1]:
        alarm = scores >= value
        reached = (alarm & anomaly).sum() / anomaly.sum()
        area += (reached - recall) * anomaly[alarm].mean()
        recall = reached
    return float(area)


@SEEDS
def test_detection_metrics_agree_with_their_definitions(seed):
    scores, anomaly = draw(seed)
    values = metrics.detection(scores, anomaly)
    assert values["AUROC"] == pytest.approx(pairs_in_order(scores, anomaly))
    assert values["average_precision"] == pytest.approx(area_of_steps(scores, anomaly))
    assert values["prevalence"] == anomaly.mean()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_auroc_does_not_depend_on_the_scale_of_scores(scale):
    # A sigmoid, as in torchmetrics, would make all large scores equal: AUROC 0.5.
    scores, anomaly = scale * np.array([50.0, 51, 52, 60, 61]), np.arange(5) > 2
    assert metrics.detection(scores, anomaly)["AUROC"] == 1.0
    assert metrics.detection(-scores, anomaly)["AUROC"] == 0.0


def test_constant_scores_have_the_metrics_of_chance():
    scores, anomaly = np.full(8, 7.0), np.arange(8) < 2
    values = metrics.detection(scores, anomaly)
    assert values["AUROC"] == values["AUROC_low"] == values["AUROC_high"] == 0.5
    for name in ("average_precision", "prevalence", "precision_at_anomalies"):
        assert values[name] == 0.25
    assert values["FPR_at_95_recall"] == 1
    assert metrics.roc(scores, anomaly).to_numpy().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("anomalous", [False, True])
def test_samples_of_one_kind_have_no_detection_metrics_and_an_empty_roc_curve(anomalous):
    anomaly = np.full(4, anomalous)
    assert metrics.detection(np.arange(4.0), anomaly) == {}
    assert metrics.roc(np.arange(4.0), anomaly).empty
    assert metrics.precision_recall(np.arange(4.0), anomaly).empty == (not anomalous)


# Counted by hand: the alarms are the scores above 2.
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
def test_metrics_at_a_threshold_agree_with_hand_counts(name):
    scores, anomaly, expected = TABLES[name]
    values = metrics.at_threshold(np.array(scores), np.array(anomaly, bool), threshold(2))
    assert values == pytest.approx(expected)


@SEEDS
def test_metrics_at_a_threshold_agree_with_scikit_learn(seed):
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


def test_nan_scores_raise():
    scores, anomaly = np.array([1.0, np.nan]), np.array([False, True])
    for measure in (metrics.detection, metrics.roc, metrics.precision_recall):
        with pytest.raises(ValueError, match="NaN"):
            measure(scores, anomaly)


@pytest.mark.parametrize("measure", ["detection", "at_threshold", "reconstruction_error"])
def test_metrics_are_plain_floats_for_json(measure):
    arguments = [threshold(5)] if measure == "at_threshold" else []
    values = getattr(metrics, measure)(*draw(0), *arguments)
    assert {type(value) for value in values.values()} == {float}


def test_reconstruction_errors_are_averaged_by_kind_if_there_are_samples():
    errors, anomaly = np.array([1.0, 3, 10]), np.array([False, False, True])
    normal = {"reconstruction_error_normal": 2}
    expected = normal | {"reconstruction_error_anomalous": 10}
    assert metrics.reconstruction_error(errors, anomaly) == expected
    assert metrics.reconstruction_error(errors[:2], anomaly[:2]) == normal


@SEEDS
def test_the_roc_curve_runs_from_no_alarms_to_all_with_area_auroc(seed):
    scores, anomaly = draw(seed)
    curve = metrics.roc(scores, anomaly)
    assert curve.to_numpy()[[0, -1]].tolist() == [[0, 0], [1, 1]]
    assert curve.recall.is_monotonic_increasing
    area = np.trapezoid(curve.recall, curve.false_positive_rate)
    assert area == pytest.approx(pairs_in_order(scores, anomaly))


@SEEDS
def test_the_precision_recall_curve_ends_at_the_prevalence_with_area_average_precision(seed):
    scores, anomaly = draw(seed)
    curve = metrics.precision_recall(scores, anomaly)
    assert curve.iloc[0].tolist() == [0, 1]
    assert curve.iloc[-1].tolist() == [1, pytest.approx(anomaly.mean())]
    assert curve.recall.is_monotonic_increasing
    area = (np.diff(curve.recall) * curve.precision[1:]).sum()
    assert area == pytest.approx(area_of_steps(scores, anomaly), abs=0.01)
