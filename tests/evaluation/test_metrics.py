"""Metrics, their bootstrap intervals and paired differences, against independent references."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.detection import ranking_metrics
from hourglass.evaluation.metrics.paired import auroc_differs, differences

SEEDS = pytest.mark.parametrize("seed", range(4))


def draw(seed: int, n: int = 300, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, some of them equal, and the mask of anomalies, a quarter of the samples."""
    rng = np.random.default_rng(seed)
    anomaly = np.arange(n) < n // 4
    return np.round(rng.normal(size=n) + apart * anomaly, 2), anomaly


def threshold(value: float) -> Threshold:
    return Threshold(value, "manual", {}, 0)


# Metrics of a ranking.


@SEEDS
def test_detection_metrics_agree_with_scikit_learn(seed):
    scores, anomaly = draw(seed)
    values = metrics.detection(scores, anomaly, intervals=False)
    assert values["AUROC"] == pytest.approx(roc_auc_score(anomaly, scores))
    assert values["average_precision"] == pytest.approx(average_precision_score(anomaly, scores))
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
    assert values["AUROC"] == 0.5
    for name in ("average_precision", "prevalence", "precision_at_anomalies"):
        assert values[name] == 0.25
    assert values["FPR_at_95_recall"] == 1


def test_fpr_at_95_recall_agrees_with_a_hand_count():
    scores = np.array([*range(20), 0.5, 1.5, 2.5])  # 19 of 20 anomalies are at 1 or above
    values = metrics.detection(scores, np.arange(23) < 20, intervals=False)
    assert values["FPR_at_95_recall"] == pytest.approx(2 / 3)


def test_precision_among_equal_scores_is_its_expectation():
    scores = np.array([3.0, 2, 2, 2, 1])
    values = metrics.detection(scores, np.array([True, True, False, False, False]), False)
    assert values["precision_at_anomalies"] == pytest.approx((1 + 1 / 3) / 2)


def test_small_samples_lack_the_metrics_that_need_100():
    assert "precision_at_100" not in metrics.detection(*draw(0, 99))
    assert "precision_at_100" in metrics.detection(*draw(0, 100))
    values = metrics.detection(*draw(0, 396))  # 99 anomalies
    assert "AUROC_low" in values
    assert "FPR_at_95_recall_low" not in values


@pytest.mark.parametrize("anomalous", [False, True])
def test_samples_of_one_kind_have_no_detection_metrics_and_no_roc_curve(anomalous):
    scores, anomaly = np.arange(4.0), np.full(4, anomalous)
    assert metrics.detection(scores, anomaly) == {}
    assert metrics.roc_curve(scores, anomaly).empty
    assert metrics.precision_recall_curve(scores, anomaly).empty == (not anomalous)
    with pytest.raises(ValueError, match="both normal samples and anomalies"):
        differences(scores, scores, anomaly)


def test_nan_scores_raise():
    scores, anomaly = np.array([1.0, np.nan]), np.array([False, True])
    for measure in (metrics.detection, metrics.roc_curve, metrics.precision_recall_curve):
        with pytest.raises(ValueError, match="NaN"):
            measure(scores, anomaly)


# Curves.


@SEEDS
def test_the_roc_curve_runs_from_no_alarms_to_all_with_area_auroc(seed):
    scores, anomaly = draw(seed)
    curve = metrics.roc_curve(scores, anomaly)
    assert curve.to_numpy()[[0, -1]].tolist() == [[0, 0], [1, 1]]
    assert curve.recall.is_monotonic_increasing
    area = np.trapezoid(curve.recall, curve.false_positive_rate)
    assert area == pytest.approx(roc_auc_score(anomaly, scores))


@SEEDS
def test_the_precision_recall_curve_ends_at_the_prevalence_with_area_average_precision(seed):
    scores, anomaly = draw(seed)
    curve = metrics.precision_recall_curve(scores, anomaly)
    assert curve.iloc[0].tolist() == [0, 1]
    assert curve.iloc[-1].tolist() == [1, pytest.approx(anomaly.mean())]
    assert curve.recall.is_monotonic_increasing
    area = (np.diff(curve.recall) * curve.precision[1:]).sum()
    assert area == pytest.approx(average_precision_score(anomaly, scores), abs=0.01)


# Metrics at a threshold, and reconstruction errors.


@SEEDS
def test_metrics_at_a_threshold_agree_with_scikit_learn(seed):
    scores, anomaly = draw(seed)
    level = float(np.quantile(scores, 0.7))  # equal to one of the scores, which is no alarm
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


@pytest.mark.parametrize(
    ("scores", "anomaly", "expected"),
    [
        ([1, 2], [1, 0], {"recall": 0, "F1": 0, "false_alarm_rate": 0}),
        ([1, 3], [0, 0], {"false_alarm_rate": 0.5}),
        ([1, 2], [0, 0], {"false_alarm_rate": 0}),
        ([1, 3], [1, 1], {"precision": 1, "recall": 0.5, "F1": 2 / 3}),
    ],
    ids=["no alarm", "no anomaly", "no anomaly, no alarm", "only anomalies"],
)
def test_undefined_metrics_at_a_threshold_are_omitted(scores, anomaly, expected):
    values = metrics.at_threshold(np.array(scores), np.array(anomaly, bool), threshold(2))
    assert values == pytest.approx(expected)


def test_reconstruction_errors_are_averaged_by_kind_if_there_are_samples():
    errors, anomaly = np.array([1.0, 3, 10]), np.array([False, False, True])
    normal = {"reconstruction_error_normal": 2}
    expected = normal | {"reconstruction_error_anomalous": 10}
    assert metrics.reconstruction_error(errors, anomaly) == expected
    assert metrics.reconstruction_error(errors[:2], anomaly[:2]) == normal


def test_all_metrics_are_plain_floats_for_json():
    scores, anomaly = draw(0)
    values = metrics.summary(scores, scores**2, anomaly, threshold(1))
    assert {type(value) for value in values.values()} == {float}


# Bootstrap intervals.


@SEEDS
def test_the_metrics_of_a_resample_agree_with_scikit_learn(seed):
    scores, anomaly = draw(seed, 60)
    ranks, size = bootstrap.score_ranks(scores)
    rng = np.random.default_rng(seed)
    counts = [bootstrap.draw(rng, ranks[mask], size, 3) for mask in (~anomaly, anomaly)]
    values = ranking_metrics(*counts)
    distinct = np.unique(scores)[::-1]
    for i in range(3):
        drawn = np.concatenate([np.repeat(distinct, count[i]) for count in counts])
        kinds = np.repeat([False, True], [count[i].sum() for count in counts])
        assert values["AUROC"][i] == pytest.approx(roc_auc_score(kinds, drawn))
        expected = average_precision_score(kinds, drawn)
        assert values["average_precision"][i] == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["AUROC", "average_precision", "FPR_at_95_recall", "precision_at_anomalies"]
)
def test_an_interval_contains_its_value_and_narrows_with_more_samples(name):
    widths = []
    for n in (400, 10_000):
        values = metrics.detection(*draw(0, n))
        assert values[f"{name}_low"] <= values[name] <= values[f"{name}_high"]
        widths.append(values[f"{name}_high"] - values[f"{name}_low"])
    assert widths[1] < 0.5 * widths[0]


def test_intervals_are_reproducible():
    assert metrics.detection(*draw(1)) == metrics.detection(*draw(1))


@pytest.mark.parametrize("kinds", [(9, 100), (100, 9)], ids=["anomalies", "normal samples"])
def test_few_samples_of_a_kind_have_no_interval_and_prove_no_difference(kinds):
    anomaly = np.repeat([True, False], kinds)
    scores = np.random.default_rng(0).normal(size=109) + anomaly
    values = metrics.detection(scores, anomaly)
    assert values["anomalies"] == kinds[0]
    assert [name for name in values if name.endswith(("_low", "_high"))] == []
    label = np.where(anomaly, "bad", "good")
    assert metrics.class_metrics(scores, label, anomaly, threshold(1))["AUROC_low"].isna().all()
    perfect, reverse = anomaly + 0.0, 1.0 - anomaly
    assert not differences(perfect, reverse, anomaly)["AUROC"].better
    assert not auroc_differs(perfect, reverse, anomaly)


def test_a_perfect_ranking_of_few_anomalies_is_not_certain():
    """Its lower end solves 1 - a = 1.96 se(a), with the standard error of Hanley and McNeil."""
    anomaly = np.arange(60) < 12
    values = metrics.detection(anomaly + 0.0, anomaly)
    low, n = values["AUROC_low"], 60 / 2 - 1
    first, second = low / (2 - low), 2 * low**2 / (1 + low)
    variance = low * (1 - low) + n * (first - low**2) + n * (second - low**2)
    assert 1 - low == pytest.approx(1.96 * np.sqrt(variance / (12 * 48)), rel=1e-3)
    assert values["AUROC_high"] == 1
    assert "average_precision_low" not in values  # it is 1 in all resamples


@pytest.mark.slow
@pytest.mark.parametrize("apart", [1.0, 3.3])
def test_intervals_of_ten_anomalies_cover_the_true_value(apart):
    true, covered = norm.cdf(apart / np.sqrt(2)), 0
    for seed in range(200):
        anomaly = np.arange(210) < 10
        scores = np.random.default_rng(seed).normal(size=210) + apart * anomaly
        values = metrics.detection(scores, anomaly)
        covered += values["AUROC_low"] <= true <= values["AUROC_high"]
    assert covered >= 180


@pytest.mark.slow
def test_intervals_have_their_nominal_coverage():
    true = norm.cdf(1 / np.sqrt(2))  # of two normal distributions a standard deviation apart
    values = [metrics.detection(*draw(seed, 400)) for seed in range(200)]
    coverage = np.mean([each["AUROC_low"] <= true <= each["AUROC_high"] for each in values])
    assert 0.89 < coverage < 0.99  # 95 %, and three standard errors of 200 draws


@pytest.mark.parametrize(("n", "resamples"), [(10, 1000), (10_000, 1000), (10_000_000, 200)])
def test_resamples_are_drawn_in_batches_that_fit_into_memory(n, resamples):
    batches = list(bootstrap.batches(n))
    assert sum(batches) == resamples
    assert max(batches) * n <= max(bootstrap.DRAWS_IN_MEMORY, n)


# Metrics per class.


def test_every_class_has_its_alarm_rate_and_anomalous_ones_their_auroc():
    scores, anomaly = draw(0)
    label = np.where(anomaly, np.array(["easy", "hard"])[np.arange(300) % 2], "usual")
    scores[label == "easy"] += 4
    table = metrics.class_metrics(scores, label, anomaly, threshold(1.0))
    assert table.label.tolist() == ["hard", "easy", "usual"]  # the hardest first
    for row in table.to_dict("records"):
        members = label == row["label"]
        assert row["alarm_rate"] == (scores[members] > 1).mean()
        assert row["samples"] == members.sum()
        if row["anomaly"]:
            compared = ~anomaly | members
            area = roc_auc_score(anomaly[compared], scores[compared])
            assert row["AUROC"] == pytest.approx(area)
            assert row["AUROC_low"] <= row["AUROC"] <= row["AUROC_high"]


def test_without_anomalies_classes_have_alarm_rates_only():
    label, anomaly = np.array(list("aabb")), np.zeros(4, bool)
    table = metrics.class_metrics(np.arange(4.0), label, anomaly, threshold(1.5))
    expected = {"label": ["b", "a"], "anomaly": False, "samples": 2, "alarm_rate": [1.0, 0.0]}
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected))


# Paired differences of two detectors.


def win_rate(anomaly: np.ndarray, scores: np.ndarray) -> float:
    """Return the AUROC by its definition: the rate at which an anomaly beats a normal sample."""
    return float((scores[anomaly][:, None] > scores[~anomaly]).mean())


def paired(seed: int, shift: float, noise: float = 0.3) -> tuple[np.ndarray, ...]:
    """Return the scores of two detectors and the mask of anomalies; the first is better."""
    rng = np.random.default_rng(seed)
    anomaly = np.arange(120) < 40
    shared = rng.normal(size=120) + anomaly
    first = shared + shift * anomaly + noise * rng.normal(size=120)
    return first, shared + noise * rng.normal(size=120), anomaly


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        ("AUROC", win_rate),
        pytest.param("average_precision", average_precision_score, marks=pytest.mark.slow),
    ],
)
def test_the_interval_of_a_difference_agrees_with_a_plain_paired_bootstrap(metric, function):
    first, second, anomaly = paired(0, 0.3)
    rng, drawn = np.random.default_rng(1), []
    kinds = [np.flatnonzero(anomaly), np.flatnonzero(~anomaly)]
    for _ in range(1000):
        sample = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        values = [function(anomaly[sample], scores[sample]) for scores in (first, second)]
        drawn.append(values[0] - values[1])
    difference = differences(first, second, anomaly)[metric]
    assert difference.first == pytest.approx(function(anomaly, first))
    assert difference.second == pytest.approx(function(anomaly, second))
    expected = np.percentile(drawn, [2.5, 97.5])
    np.testing.assert_allclose([difference.low, difference.high], expected, atol=0.01)


def test_a_detector_is_not_better_than_one_with_the_same_ranking():
    first, _, anomaly = paired(0, 0.3)
    difference = differences(np.exp(first), first, anomaly)["AUROC"]
    assert (difference.low, difference.high, difference.better) == (0, 0, False)


def test_swapping_the_detectors_reverses_the_difference():
    first, second, anomaly = paired(0, 1.0)
    better = differences(first, second, anomaly)["AUROC"]
    worse = differences(second, first, anomaly)["AUROC"]
    assert (better.better, worse.better) == (True, False)
    assert better.low == pytest.approx(-worse.high)


def test_pairing_detects_a_difference_that_overlapping_intervals_hide():
    first, second, anomaly = paired(2, 0.25, noise=0.05)
    better, worse = (metrics.detection(scores, anomaly) for scores in (first, second))
    assert differences(first, second, anomaly)["AUROC"].better
    assert better["AUROC_low"] < worse["AUROC_high"]


@pytest.mark.slow
def test_equal_detectors_are_called_better_at_most_at_the_nominal_rate():
    """The first of two equal detectors is better by more than the interval in 2.5 % of cases."""
    better = [differences(*paired(seed, 0.0))["AUROC"].better for seed in range(100)]
    assert sum(better) <= 8


# Significance of a difference in AUROC.


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.6])
def test_the_test_of_delong_agrees_with_the_paired_bootstrap(shift):
    agreed = []
    for seed in range(8):
        first, second, anomaly = paired(seed, shift)
        difference = differences(first, second, anomaly)["AUROC"]
        excludes_zero = difference.low > 0 or difference.high < 0
        agreed.append(auroc_differs(first, second, anomaly) == excludes_zero)
    assert sum(agreed) >= 7  # a p-value near 5 % may fall on either side


def test_equal_detectors_differ_at_the_nominal_rate():
    found = [auroc_differs(*paired(seed, 0.0)) for seed in range(400)]
    assert 5 <= sum(found) <= 40  # expected: 20


def test_detectors_of_one_ranking_do_not_differ_and_equal_scores_count_half():
    first, _, anomaly = paired(0, 1.0)
    assert not auroc_differs(first, np.exp(first), anomaly)
    assert auroc_differs(first, np.zeros(120), anomaly)
    assert not auroc_differs(np.ones(120), np.zeros(120), anomaly)
