import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.evaluation.metrics.paired import differences


def wins(anomaly: np.ndarray, scores: np.ndarray) -> float:
    """Return the AUROC as what it is: how often an anomaly beats a normal sample."""
    return float((scores[anomaly][:, None] > scores[~anomaly]).mean())


METRICS = [
    ("AUROC", wins),
    pytest.param("AUROC", roc_auc_score, marks=pytest.mark.slow),
    pytest.param("average_precision", average_precision_score, marks=pytest.mark.slow),
]


def scored(seed: int, shift: float, noise: float = 0.3) -> tuple[np.ndarray, ...]:
    """Return two detectors' scores and which samples are anomalies; the first sees more of them."""
    rng = np.random.default_rng(seed)
    anomaly = np.arange(120) < 40
    shared = rng.normal(size=120) + anomaly
    first = shared + shift * anomaly + noise * rng.normal(size=120)
    return first, shared + noise * rng.normal(size=120), anomaly


@pytest.mark.parametrize(("metric", "function"), METRICS)
def test_the_interval_is_that_of_resamples_that_both_share(metric, function):
    """Written out: draw samples of either kind, and measure both detectors on them."""
    first, second, anomaly = scored(0, 0.3)
    rng, found = np.random.default_rng(1), []
    kinds = [np.flatnonzero(anomaly), np.flatnonzero(~anomaly)]
    for _ in range(1000):
        drawn = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        values = [function(anomaly[drawn], each[drawn]) for each in (first, second)]
        found.append(values[0] - values[1])
    difference = differences(first, second, anomaly)[metric]
    assert difference.first == pytest.approx(function(anomaly, first))
    assert difference.second == pytest.approx(function(anomaly, second))
    expected = np.percentile(found, [2.5, 97.5])
    np.testing.assert_allclose([difference.low, difference.high], expected, atol=0.01)


def test_a_detector_is_not_better_than_itself():
    first, _, anomaly = scored(0, 0.3)
    found = differences(first, first, anomaly)["AUROC"]
    assert (found.low, found.high, found.better) == (0, 0, False)


def test_a_detector_is_not_better_than_one_with_the_same_ranking():
    first, _, anomaly = scored(0, 0.3)
    assert not differences(np.exp(first), first, anomaly)["AUROC"].better


def test_which_one_is_better_changes_with_their_order():
    first, second, anomaly = scored(0, 1.0)
    one, other = differences(first, second, anomaly), differences(second, first, anomaly)
    assert one["AUROC"].better
    assert not other["AUROC"].better
    assert one["AUROC"].low == pytest.approx(-other["AUROC"].high)


def test_pairing_sees_what_the_two_intervals_by_themselves_hide():
    first, second, anomaly = scored(2, 0.25, noise=0.05)
    found = differences(first, second, anomaly)["AUROC"]
    from hourglass.evaluation.metrics import detection

    alone = [detection(each, anomaly) for each in (first, second)]
    assert found.better
    assert alone[0]["AUROC_low"] < alone[1]["AUROC_high"]


@pytest.mark.slow
def test_equal_detectors_are_seldom_called_better():
    """Of two that are as good, each is better by more than the interval in 2.5 % of all cases."""
    found = [differences(*scored(seed, 0.0))["AUROC"].better for seed in range(100)]
    assert sum(found) <= 8


def test_samples_of_one_kind_cannot_be_compared():
    with pytest.raises(ValueError, match="one kind"):
        differences(np.arange(3), np.arange(3), np.zeros(3, bool))
