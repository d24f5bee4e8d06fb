"""Whether a threshold still holds: intervals, verdicts, and how often these are wrong."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, binom

from hourglass.detection.calibrators import Conformal, Manual
from hourglass.detection.drift.alarm_rate import AlarmRateCheck, Rate

RNG = np.random.default_rng(0)
CALIBRATION = RNG.exponential(size=1000)
THRESHOLD = Conformal(0.05)(CALIBRATION)


def verdict(scores: np.ndarray, alpha: float = 0.01) -> str:
    return AlarmRateCheck.of(THRESHOLD, CALIBRATION, scores, alpha).verdict


@pytest.mark.parametrize(("count", "total"), [(0, 20), (3, 100), (100, 100)])
def test_intervals_are_those_of_clopper_and_pearson(count, total):
    found = Rate.of(np.arange(total) < count, 0.99)
    low = beta.ppf(0.005, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.995, count + 1, total - count) if count < total else 1.0
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.alarms, found.samples, found.rate) == (count, total, count / total)


def test_what_calibration_leaves_open_is_what_the_conformal_rate_is_distributed_as():
    n, k = 1000, 951  # ceil(1001 * 0.95)
    found = AlarmRateCheck.of(THRESHOLD, CALIBRATION, CALIBRATION, 0.02).calibrated
    assert found.high == pytest.approx(beta.ppf(0.995, n + 1 - k, k))
    assert found.alarms == n - k


def test_new_samples_of_the_same_kind_keep_the_promise():
    assert verdict(RNG.exponential(size=3000)) == "holds"


def test_a_verdict_against_the_threshold_is_seldom_wrong():
    rng, alpha, times = np.random.default_rng(1), 0.2, 150
    wrong = 0
    for _ in range(times):
        old, new = rng.exponential(size=60), rng.exponential(size=200)
        found = AlarmRateCheck.of(Conformal(0.1)(old), old, new, alpha)
        wrong += found.verdict in ("more", "fewer")
    assert wrong <= binom.ppf(0.999, times, alpha)


def test_scores_that_moved_break_it_either_way():
    assert verdict(1.5 * RNG.exponential(size=1000)) == "more"
    assert verdict(0.3 * RNG.exponential(size=1000)) == "fewer"


def test_few_samples_say_nothing():
    assert verdict(RNG.exponential(size=10)) == "too few"
    assert verdict(np.zeros(30)) == "too few"


def test_few_samples_may_still_be_too_many_alarms():
    assert verdict(np.full(10, 100.0)) == "more"


def test_a_method_that_promises_nothing_is_held_to_what_calibration_saw():
    threshold = Manual(float(np.quantile(CALIBRATION, 0.9)))(CALIBRATION)
    assert threshold.false_alarm_rate is None
    found = AlarmRateCheck.of(threshold, CALIBRATION, RNG.exponential(size=3000), 0.01)
    assert found.promised == pytest.approx(0.1)
    assert found.verdict == "holds"


def test_a_promise_that_calibration_itself_broke_is_not_blamed_on_drift():
    """Of three standard deviations, say, on scores with a heavy tail."""
    wrong = replace(THRESHOLD, false_alarm_rate=0.0013)
    found = AlarmRateCheck.of(wrong, CALIBRATION, RNG.exponential(size=3000), 0.01)
    assert found.verdict == "holds"


def test_a_threshold_above_everything_holds_until_something_is_above_it():
    high = Manual(1e6)(CALIBRATION)
    assert AlarmRateCheck.of(high, CALIBRATION, np.zeros(5000), 0.01).verdict == "holds"
    assert AlarmRateCheck.of(high, CALIBRATION, np.full(9, 1e7), 0.01).verdict == "more"
