"""The alarm-rate check: intervals, verdicts, and their error rate."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, binom

from hourglass.detection.calibrators import Conformal, Manual
from hourglass.detection.drift.alarm_rate import AlarmRateCheck, Rate
from hourglass.detection.threshold import Threshold

RNG = np.random.default_rng(0)
CALIBRATION = RNG.exponential(size=1000)
THRESHOLD = Conformal(0.05)(CALIBRATION)


def verdict(scores: np.ndarray, threshold: Threshold = THRESHOLD) -> str:
    return AlarmRateCheck.of(threshold, CALIBRATION, scores, 0.01).verdict


@pytest.mark.parametrize(("count", "total"), [(0, 20), (3, 100), (100, 100)])
def test_intervals_agree_with_clopper_and_pearson(count, total):
    rate = Rate.of(np.arange(total) < count, 0.99)
    low = beta.ppf(0.005, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.995, count + 1, total - count) if count < total else 1.0
    assert (rate.low, rate.high) == pytest.approx((low, high))
    assert (rate.alarms, rate.samples, rate.rate) == (count, total, count / total)


def test_the_calibration_interval_of_a_conformal_threshold_is_a_beta_quantile():
    n, k = 1000, 951  # ceil(1001 * 0.95)
    calibrated = AlarmRateCheck.of(THRESHOLD, CALIBRATION, CALIBRATION, 0.02).calibrated
    assert calibrated.high == pytest.approx(beta.ppf(0.995, n + 1 - k, k))
    assert calibrated.alarms == n - k


def test_the_threshold_holds_for_samples_of_the_same_distribution():
    assert verdict(RNG.exponential(size=3000)) == "holds"


def test_a_verdict_against_the_threshold_is_wrong_at_most_at_rate_alpha():
    rng, alpha, times = np.random.default_rng(1), 0.2, 150
    wrong = 0
    for _ in range(times):
        old, new = rng.exponential(size=60), rng.exponential(size=200)
        check = AlarmRateCheck.of(Conformal(0.1)(old), old, new, alpha)
        wrong += check.verdict in ("more", "fewer")
    assert wrong <= binom.ppf(0.999, times, alpha)


def test_shifted_scores_are_detected_in_both_directions():
    assert verdict(1.5 * RNG.exponential(size=1000)) == "more"
    assert verdict(0.3 * RNG.exponential(size=1000)) == "fewer"


def test_few_samples_decide_nothing_unless_nearly_all_are_alarms():
    assert verdict(RNG.exponential(size=10)) == "too few"
    assert verdict(np.zeros(30)) == "too few"
    assert verdict(np.full(10, 100.0)) == "more"


def test_without_an_expected_rate_the_calibration_rate_is_expected():
    threshold = Manual(float(np.quantile(CALIBRATION, 0.9)))(CALIBRATION)
    assert threshold.false_alarm_rate is None
    check = AlarmRateCheck.of(threshold, CALIBRATION, RNG.exponential(size=3000), 0.01)
    assert check.promised == pytest.approx(0.1)
    assert check.verdict == "holds"


def test_an_expected_rate_that_calibration_scores_exceed_is_not_blamed_on_drift():
    """An example is k_sigma with k = 3 on scores with a heavy tail."""
    wrong = replace(THRESHOLD, false_alarm_rate=0.0013)
    assert verdict(RNG.exponential(size=3000), threshold=wrong) == "holds"


def test_a_threshold_above_all_scores_holds_until_scores_exceed_it():
    high = Manual(1e6)(CALIBRATION)
    assert verdict(np.zeros(5000), threshold=high) == "holds"
    assert verdict(np.full(9, 1e7), threshold=high) == "more"
