"""Ranking statistics, their bootstrap intervals, metrics per class, and paired differences."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics
from hourglass.evaluation.metrics import bootstrap
from hourglass.evaluation.metrics.paired import differences
from hourglass.evaluation.metrics.ranking import Ranking

RANKED = ("AUROC", "average_precision", "FPR_at_95_recall", "precision_at_anomalies")


def draw(seed: int, n: int = 300, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    anomaly = np.arange(n) < n // 4
    return np.round(rng.normal(size=n) + apart * anomaly, 2), anomaly


@pytest.mark.parametrize("seed", range(4))
def test_the_statistics_of_a_resample_agree_with_scikit_learn(seed):
    scores, anomaly = draw(seed, 60)
    ranks, size = bootstrap.score_ranks(scores)
    rng = np.random.default_rng(seed)
    counts = [bootstrap.draw(rng, ranks[kind], size, 3) for kind in (~anomaly, anomaly)]
    statistics = Ranking(*counts).statistics()
    distinct = np.unique(scores)[::-1]
    for i in range(3):
        drawn = np.concatenate([np.repeat(distinct, kind[i]) for kind in counts])
        kinds = np.repeat([False, True], [kind[i].sum() for kind in counts])
        assert statistics["AUROC"][i] == pytest.approx(roc_auc_score(kinds, drawn))
        expected = average_precision_score(kinds, drawn)
        assert statistics["average_precision"][i] == pytest.approx(expected)


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


@pytest.mark.parametrize("name", RANKED)
def test_an_interval_contains_its_value_and_narrows_with_more_samples(name):
    widths = []
    for n in (400, 10_000):
        values = metrics.detection(*draw(0, n))
        assert values[f"{name}_low"] <= values[name] <= values[f"{name}_high"]
        widths.append(values[f"{name}_high"] - values[f"{name}_low"])
    assert widths[1] < 0.5 * widths[0]


def test_intervals_are_reproducible():
    assert metrics.detection(*draw(1)) == metrics.detection(*draw(1))


@pytest.mark.slow
def test_intervals_have_their_nominal_coverage():
    true = norm.cdf(1 / np.sqrt(2))  # of two normal distributions a standard deviation apart
    ends = [metrics.detection(*draw(seed, 400)) for seed in range(200)]
    coverage = np.mean([each["AUROC_low"] <= true <= each["AUROC_high"] for each in ends])
    assert 0.89 < coverage < 0.99  # 95 %, and three standard errors of 200 draws


def test_resamples_are_drawn_in_batches_that_fit_into_memory():
    for n in (10, 10_000, 10_000_000):
        batches = list(bootstrap.batches(n))
        assert sum(batches) == bootstrap.replicates(n) >= 200
        assert max(batches) * n <= max(bootstrap.DRAWS_IN_MEMORY, n)


# Metrics per class.


@pytest.fixture(scope="module")
def classes() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Give the table of an easy, a hard and a normal class, with scores, labels and anomalies."""
    scores, anomaly = draw(0)
    label = np.where(anomaly, np.array(["easy", "hard"])[np.arange(300) % 2], "usual")
    scores[label == "easy"] += 4
    table = metrics.by_class(scores, label, anomaly, Threshold(1.0, "manual", {}, 0))
    return table, scores, label, anomaly


def test_every_class_has_its_alarm_rate_and_anomalous_ones_their_auroc(classes):
    table, scores, label, anomaly = classes
    assert table.label.tolist() == ["hard", "easy", "usual"]  # the hardest first
    for row in table.to_dict("records"):
        members = label == row["label"]
        assert row["alarm_rate"] == (scores[members] > 1).mean()
        assert row["samples"] == members.sum()
        if row["anomaly"]:
            chosen = ~anomaly | members
            assert row["AUROC"] == pytest.approx(roc_auc_score(anomaly[chosen], scores[chosen]))
            assert row["AUROC_low"] <= row["AUROC"] <= row["AUROC_high"]


def test_without_anomalies_classes_have_alarm_rates_only():
    table = metrics.by_class(
        np.arange(4.0), np.array(list("aabb")), np.zeros(4, bool), Threshold(1.5, "manual", {}, 0)
    )
    assert table.to_dict("list") == {
        "label": ["b", "a"], "anomaly": [False] * 2, "samples": [2, 2], "alarm_rate": [1, 0],
    }  # fmt: skip


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
        pytest.param("AUROC", roc_auc_score, marks=pytest.mark.slow),
        pytest.param("average_precision", average_precision_score, marks=pytest.mark.slow),
    ],
)
def test_the_interval_of_a_difference_agrees_with_a_plain_paired_bootstrap(metric, function):
    first, second, anomaly = paired(0, 0.3)
    rng, drawn = np.random.default_rng(1), []
    kinds = [np.flatnonzero(anomaly), np.flatnonzero(~anomaly)]
    for _ in range(1000):
        chosen = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        values = [function(anomaly[chosen], scores[chosen]) for scores in (first, second)]
        drawn.append(values[0] - values[1])
    difference = differences(first, second, anomaly)[metric]
    assert difference.first == pytest.approx(function(anomaly, first))
    assert difference.second == pytest.approx(function(anomaly, second))
    expected = np.percentile(drawn, [2.5, 97.5])
    np.testing.assert_allclose([difference.low, difference.high], expected, atol=0.01)


@pytest.mark.parametrize("transform", [lambda scores: scores, np.exp], ids=["same", "monotonic"])
def test_a_detector_is_not_better_than_one_with_the_same_ranking(transform):
    first, _, anomaly = paired(0, 0.3)
    difference = differences(transform(first), first, anomaly)["AUROC"]
    assert (difference.low, difference.high, difference.better) == (0, 0, False)


def test_swapping_the_detectors_reverses_the_difference():
    first, second, anomaly = paired(0, 1.0)
    one, other = (
        differences(*pair, anomaly)["AUROC"] for pair in ((first, second), (second, first))
    )
    assert one.better
    assert not other.better
    assert one.low == pytest.approx(-other.high)


def test_pairing_detects_a_difference_that_overlapping_intervals_hide():
    first, second, anomaly = paired(2, 0.25, noise=0.05)
    alone = [metrics.detection(scores, anomaly) for scores in (first, second)]
    assert differences(first, second, anomaly)["AUROC"].better
    assert alone[0]["AUROC_low"] < alone[1]["AUROC_high"]


@pytest.mark.slow
def test_equal_detectors_are_called_better_at_most_at_the_nominal_rate():
    """The first of two equal detectors is better by more than the interval in 2.5 % of cases."""
    better = [differences(*paired(seed, 0.0))["AUROC"].better for seed in range(100)]
    assert sum(better) <= 8


def test_samples_of_one_kind_cannot_be_compared():
    with pytest.raises(ValueError, match="both normal samples and anomalies"):
        differences(np.arange(3), np.arange(3), np.zeros(3, bool))
