import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.detection.threshold import Threshold
from hourglass.evaluation import metrics
from hourglass.evaluation.metrics import bootstrap

RANKED = ("AUROC", "average_precision", "FPR_at_95_recall", "precision_at_anomalies")


def draw(seed: int, n: int = 300, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    anomaly = np.arange(n) < n // 4
    return np.round(rng.normal(size=n) + apart * anomaly, 2), anomaly


@pytest.mark.parametrize("seed", range(4))
def test_values_are_scikit_learns(seed):
    scores, anomaly = draw(seed)
    found = metrics.detection(scores, anomaly, intervals=False)
    assert found["AUROC"] == pytest.approx(roc_auc_score(anomaly, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(anomaly, scores))


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_has_scikit_learns_values_of_the_drawn_samples(seed):
    scores, anomaly = draw(seed, 60)
    places, size = bootstrap.groups(scores)
    rng = np.random.default_rng(seed)
    counts = [bootstrap.draw(rng, places[kind], size, 3) for kind in (~anomaly, anomaly)]
    from hourglass.evaluation.metrics.ranking import Ranking

    found = Ranking(*counts).statistics()
    distinct = np.unique(scores)[::-1]
    for i in range(3):
        drawn = np.concatenate([np.repeat(distinct, each[i]) for each in counts])
        kinds = np.repeat([False, True], [each[i].sum() for each in counts])
        assert found["AUROC"][i] == pytest.approx(roc_auc_score(kinds, drawn))
        expected = average_precision_score(kinds, drawn)
        assert found["average_precision"][i] == pytest.approx(expected)


def test_false_alarms_at_95_recall_by_hand():
    scores = np.array([*range(20), 0.5, 1.5, 2.5])  # 19 of 20 anomalies are at 1 or above
    found = metrics.detection(scores, np.arange(23) < 20, intervals=False)
    assert found["FPR_at_95_recall"] == pytest.approx(2 / 3)


def test_precision_among_equal_scores_is_its_expectation():
    scores = np.array([3.0, 2, 2, 2, 1])
    found = metrics.detection(scores, np.array([True, True, False, False, False]), False)
    assert found["precision_at_anomalies"] == pytest.approx((1 + 1 / 3) / 2)


def test_precision_at_100_is_left_out_for_fewer_samples():
    assert "precision_at_100" not in metrics.detection(*draw(0, 99))
    assert "precision_at_100" in metrics.detection(*draw(0, 100))


def test_the_false_alarms_of_few_anomalies_have_no_interval():
    found = metrics.detection(*draw(0, 396))
    assert "AUROC_low" in found
    assert "FPR_at_95_recall_low" not in found


@pytest.mark.parametrize("name", RANKED)
def test_an_interval_holds_its_value_and_narrows_with_more_samples(name):
    widths = []
    for n in (400, 10_000):
        found = metrics.detection(*draw(0, n))
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
        widths.append(found[f"{name}_high"] - found[f"{name}_low"])
    assert widths[1] < 0.5 * widths[0]


def test_an_interval_is_the_same_twice():
    assert metrics.detection(*draw(1)) == metrics.detection(*draw(1))


@pytest.mark.slow
def test_intervals_hold_the_true_auroc_as_often_as_they_say():
    true = norm.cdf(1 / np.sqrt(2))  # of two normal distributions a standard deviation apart
    ends = [metrics.detection(*draw(seed, 400)) for seed in range(200)]
    held = np.mean([each["AUROC_low"] <= true <= each["AUROC_high"] for each in ends])
    assert 0.89 < held < 0.99  # 95 %, and three standard errors of 200 draws


def test_portions_are_few_enough_to_hold():
    for n in (10, 10_000, 10_000_000):
        portions = list(bootstrap.portions(n))
        assert sum(portions) == bootstrap.replicates(n) >= 200
        assert max(portions) * n <= max(bootstrap.MEMORY, n)


@pytest.fixture(scope="module")
def classes() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Give the table of an easy and a hard class, and the scores, labels and kinds it is of."""
    scores, anomaly = draw(0)
    label = np.where(anomaly, np.array(["easy", "hard"])[np.arange(300) % 2], "usual")
    scores[label == "easy"] += 4
    return (
        metrics.by_class(scores, label, anomaly, Threshold(1.0, "manual", {}, 0)),
        scores,
        label,
        anomaly,
    )


def test_every_class_has_its_own_auroc(classes):
    table, scores, label, anomaly = classes
    for row in table[table.anomaly].to_dict("records"):
        chosen = ~anomaly | (label == row["label"])
        assert row["AUROC"] == pytest.approx(roc_auc_score(anomaly[chosen], scores[chosen]))
        assert row["AUROC_low"] <= row["AUROC"] <= row["AUROC_high"]


def test_every_class_has_its_alarms(classes):
    table, scores, label, _ = classes
    for row in table.to_dict("records"):
        assert row["alarm_rate"] == (scores[label == row["label"]] > 1).mean()
        assert row["samples"] == (label == row["label"]).sum()


def test_the_class_that_is_missed_comes_first(classes):
    assert classes[0].label.tolist() == ["hard", "easy", "usual"]


def test_without_anomalies_there_are_alarm_rates_only():
    table = metrics.by_class(
        np.arange(4.0), np.array(list("aabb")), np.zeros(4, bool), Threshold(1.5, "manual", {}, 0)
    )
    assert table.to_dict("list") == {
        "label": ["b", "a"], "anomaly": [False] * 2, "samples": [2, 2], "alarm_rate": [1, 0],
    }  # fmt: skip
