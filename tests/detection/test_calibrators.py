"""Calibrators against their definitions: counting, SciPy, scikit-learn and simulated scores."""

import re
from functools import partial

import numpy as np
import pytest
from scipy.stats import beta, expon, genpareto, median_abs_deviation
from sklearn.metrics import f1_score

from hourglass.detection.calibrators import (
    EVT,
    MAD,
    Conformal,
    Cost,
    KSigma,
    Manual,
    MaxF1,
    PrecisionAt,
    Quantile,
    RecallAt,
)
from hourglass.detection.calibrators.conformal import discoveries, p_values, why_no_discoveries
from hourglass.detection.calibrators.evt import fit_generalised_pareto
from hourglass.detection.calibrators.labelled import CandidateThresholds

RNG = np.random.default_rng(0)
EVERY_LABELLED = pytest.mark.parametrize(
    "calibrator",
    [MaxF1(), Cost(), Cost(1, 50), RecallAt(), PrecisionAt(0.5)],
    ids=lambda calibrator: f"{calibrator.method} {vars(calibrator)}",
)


@pytest.fixture(params=["apart", "mixed", "ties", "adjacent floats"])
def labelled(request) -> tuple[np.ndarray, np.ndarray]:
    """Give 60 scores and the mask of anomalies."""
    rng = np.random.default_rng(1)
    anomaly = rng.random(60) < 0.3
    scores = rng.exponential(size=60) + {"apart": 20.0}.get(request.param, 1.0) * anomaly
    if request.param == "ties":
        scores = scores.round()
    if request.param == "adjacent floats":
        scores = 1 + np.finfo(float).eps * scores.round()
    return scores, anomaly


@pytest.mark.parametrize(
    ("calibrator", "expected"),
    [
        *((KSigma(k), lambda x, k=k: np.mean(x) + k * np.std(x)) for k in (0.0, 2.0, 3.5)),
        *(
            (Quantile(q), lambda x, q=q: np.interp(q * (len(x) - 1), np.arange(len(x)), np.sort(x)))
            for q in (0.01, 0.5, 0.95, 0.999)
        ),
        (MAD(2.5), lambda x: np.median(x) + 2.5 * median_abs_deviation(x, scale="normal")),
        (Manual(0.7), lambda x: 0.7),
    ],
)
def test_a_heuristic_threshold_agrees_with_its_formula(calibrator, expected):
    scores = RNG.lognormal(size=99)
    assert calibrator(scores).value == pytest.approx(expected(scores))


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (99, 0.05), (100, 0.05), (37, 0.1), (9, 0.1)])
def test_conformal_false_alarm_rate_agrees_with_theory_and_is_at_most_alpha(n, alpha):
    """For uniform scores the false-alarm rate of a threshold t is 1 - t."""
    calibrator, rng = Conformal(alpha), np.random.default_rng(n)
    rates = np.array([1 - calibrator(rng.random(n)).value for _ in range(4000)])
    expected = calibrator(rng.random(n)).false_alarm_rate
    assert expected is not None
    assert expected <= alpha + 1e-12
    assert rates.mean() == pytest.approx(expected, abs=4 * rates.std() / np.sqrt(len(rates)))


@pytest.mark.parametrize(
    ("n", "alpha", "delta"), [(45, 0.05, 0.1), (200, 0.05, 0.1), (500, 0.01, 0.05)]
)
def test_delta_bounds_the_probability_that_a_detector_exceeds_alpha(n, alpha, delta):
    rng = np.random.default_rng(n)
    rates = np.array([1 - Conformal(alpha, delta)(rng.random(n)).value for _ in range(1000)])
    assert (rates > alpha).mean() <= delta + 4 * np.sqrt(delta / len(rates))
    rank = int(Conformal(alpha, delta)(np.arange(1.0, n + 1)).value)
    assert beta.sf(alpha, n + 1 - rank, rank) <= delta
    assert beta.sf(alpha, n + 2 - rank, rank - 1) > delta  # the next lower rank would not do


@pytest.mark.parametrize(
    ("calibrator", "least"),
    [(Conformal(0.05), 19), (Conformal(0.1), 9), (Conformal(0.05, 0.1), 45)],
)
def test_too_few_scores_for_conformal_are_refused_with_the_number_needed(
    calibrator, least, refusal
):
    scores = RNG.random(least)
    assert calibrator(scores).value == scores.max()
    assert f"needs {least} calibration samples" in refusal(calibrator, scores[1:])


def test_p_values_count_the_calibration_scores_that_are_as_high():
    calibration, scores = RNG.integers(0, 9, 40), RNG.integers(-1, 11, 30)
    expected = [(1 + (calibration >= score).sum()) / 41 for score in scores]
    np.testing.assert_allclose(p_values(calibration, scores), expected)


def test_conformal_alarms_are_the_p_values_up_to_alpha():
    calibration, scores = RNG.random(200), RNG.random(500) * 1.2
    alarms = Conformal(0.05)(calibration)(scores)
    np.testing.assert_array_equal(alarms, p_values(calibration, scores) <= 0.05)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_discoveries_follow_the_definition_of_benjamini_and_hochberg(rate):
    p = RNG.random(100) ** 3
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= rate * np.arange(1, 101) / 100)
    expected = p <= ordered[below[-1]] if len(below) else np.zeros(100, bool)
    np.testing.assert_array_equal(discoveries(p, rate), expected)
    assert discoveries(np.array([])).shape == (0,)


@pytest.mark.parametrize(
    ("n", "m", "rate", "needed"), [(40, 60, 0.1, 15), (9, 60, 0.1, 60), (99, 10, 0.1, 1)]
)
def test_a_false_discovery_rate_out_of_reach_names_the_samples_that_it_needs(n, m, rate, needed):
    def batch(k: int) -> np.ndarray:
        return np.repeat([1 / (n + 1), 1.0], [k, m - k])

    assert discoveries(batch(needed), rate).any()
    assert why_no_discoveries(n, batch(needed), rate) == ""
    assert not discoveries(batch(needed - 1), rate).any()
    reason = why_no_discoveries(n, batch(needed - 1), rate)
    if needed == 1:  # the calibration set is large enough, but no sample is abnormal
        assert reason == ""
    else:
        assert f"{needed} of the {m} samples would have to have ({needed - 1} have it)" in reason
        enough = int(re.search(r"calibrate on (\d+)", reason).group(1))
        lone = np.repeat([1 / (enough + 1), 1.0], [1, m - 1])
        assert discoveries(lone, rate).any()


def test_a_false_discovery_rate_that_no_batch_can_reach_is_called_impossible():
    assert not discoveries(np.full(60, 1 / 9), 0.1).any()
    assert "even all 60 samples together" in why_no_discoveries(8, np.full(60, 1 / 9), 0.1)


def test_the_false_discovery_rate_is_bounded():
    """A tenth of each batch is abnormal."""
    rng, shares = np.random.default_rng(2), []
    for _ in range(300):
        scores = np.concatenate([rng.normal(size=180), rng.normal(4, 1, size=20)])
        alarms = discoveries(p_values(rng.normal(size=1000), scores), 0.1)
        shares.append(alarms[:180].sum() / max(1, alarms.sum()))
    assert np.mean(shares) <= 0.1 + 2 * np.std(shares) / np.sqrt(len(shares))


def test_mad_tolerates_a_third_of_outliers():
    clean = RNG.normal(size=600)
    assert MAD()(np.concatenate([clean, np.full(300, 1e6)])).value < 3 * MAD()(clean).value


def test_mad_of_mostly_equal_scores_is_refused(refusal):
    assert "are equal" in refusal(MAD(), np.array([1.0, 1.0, 1.0, 2.0]))


def test_evt_is_nearer_to_a_rare_rate_than_the_empirical_quantile():
    """Of 2,000 scores, two are above the quantile of one in a thousand."""
    rng, evt, quantile = np.random.default_rng(3), [], []
    for _ in range(50):
        scores = rng.exponential(size=2000)
        evt.append(expon.sf(EVT(1e-3)(scores).value))
        quantile.append(expon.sf(np.quantile(scores, 1 - 1e-3)))
    assert np.abs(np.array(evt) - 1e-3).mean() < np.abs(np.array(quantile) - 1e-3).mean()


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 50.0)])
def test_evt_is_equivariant_to_scale_and_shift(scale, shift):
    scores = np.random.default_rng(4).lognormal(size=1000)
    expected = EVT()(scores).value * scale + shift
    assert EVT()(scores * scale + shift).value == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 0.2, 0.8])
@pytest.mark.parametrize("count", [20, 5000])
def test_evt_fits_a_tail_as_scipy_does(shape, count):
    y = genpareto.rvs(shape, size=count, random_state=7)
    y /= y.mean()
    expected, _, scale = genpareto.fit(y, floc=0)
    assert fit_generalised_pareto(y) == pytest.approx((expected, scale), abs=1e-3)
    scores = np.concatenate([np.linspace(-9, 0, 9 * count + 1), y])  # the tenth above 0 is y
    value = EVT(1e-3)(scores).value
    assert genpareto.sf(value, expected, scale=scale) / 10 == pytest.approx(1e-3, rel=0.01)


def test_evt_refuses_a_tail_of_few_scores_and_a_rate_outside_the_tail(refusal):
    assert "needs 20" in refusal(EVT(), RNG.random(100))
    assert "alpha is 0.2" in refusal(EVT(0.2), RNG.random(1000))


def test_candidate_thresholds_count_the_samples_above_them(labelled):
    scores, anomaly = labelled
    candidates = CandidateThresholds.of(scores, anomaly)
    for i, value in enumerate(candidates.value):
        above = scores > value
        assert candidates.true_positives[i] == (above & anomaly).sum()
        assert candidates.false_positives[i] == (above & ~anomaly).sum()
    assert len(candidates.value) == len(np.unique(scores)) + 1


def test_max_f1_reaches_the_best_f1(labelled):
    scores, anomaly = labelled
    reached = f1_score(anomaly, MaxF1()(scores, anomaly)(scores))
    assert reached == pytest.approx(
        max(f1_score(anomaly, scores > value) for value in [-np.inf, *scores])
    )


@pytest.mark.parametrize("settings", [(10, 1, None), (1, 10, None), (5, 1, 0.01), (0, 1, None)])
def test_cost_reaches_the_least_cost(labelled, settings):
    scores, anomaly = labelled
    miss, false_alarm, prevalence = settings
    share = anomaly.mean() if prevalence is None else prevalence

    def cost(alarm: np.ndarray) -> float:
        missed, false = (~alarm[anomaly]).mean(), alarm[~anomaly].mean()
        return share * miss * missed + (1 - share) * false_alarm * false

    reached = cost(Cost(*settings)(scores, anomaly)(scores))
    assert reached == pytest.approx(min(cost(scores > value) for value in [-np.inf, *scores]))


@pytest.mark.parametrize("recall", [0.5, 0.95, 1.0])
def test_recall_at_reaches_its_recall_with_the_highest_threshold(labelled, recall):
    scores, anomaly = labelled
    threshold = RecallAt(recall)(scores, anomaly)
    assert threshold(scores)[anomaly].mean() >= recall
    higher = scores[scores > threshold.value].min()
    assert (scores > higher)[anomaly].mean() < recall


def test_precision_at_reaches_its_precision_with_the_most_recall(labelled):
    scores, anomaly = labelled
    values = [-np.inf, *scores[scores < scores.max()]]
    best = max(anomaly[scores > value].mean() for value in values)
    alarm = PrecisionAt(best)(scores, anomaly)(scores)
    assert anomaly[alarm].mean() >= best
    passed = np.unique(scores[~alarm])
    for value in [-np.inf, *passed[:-1]]:  # thresholds with more alarms
        assert anomaly[scores > value].mean() < best


def test_a_precision_out_of_reach_is_refused_with_the_best_one(refusal):
    scores, anomaly = np.arange(4.0), np.array([True, False, True, False])
    assert "the best is 0.500" in refusal(lambda: PrecisionAt(0.9)(scores, anomaly))


@EVERY_LABELLED
def test_labelled_calibrators_need_anomalies_and_normal_samples(calibrator, refusal):
    scores = np.arange(5.0)
    for anomaly in (None, np.zeros(5, bool)):
        assert "labelled anomalies" in refusal(calibrator, scores, anomaly)
    assert "normal" in refusal(calibrator, scores, np.ones(5, bool))


@EVERY_LABELLED
def test_labelled_calibrators_expect_the_false_alarm_rate_of_the_tuning_samples(
    calibrator, labelled
):
    scores, anomaly = labelled
    threshold = calibrator(scores, anomaly)
    assert threshold.false_alarm_rate == pytest.approx(threshold(scores)[~anomaly].mean())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Conformal(0), "alpha is 0"),
        (lambda: Conformal(0.1, 1), "delta is 1"),
        (lambda: EVT(float("nan")), "alpha is nan"),
        (lambda: EVT(0.01, 1.5), "tail is 1.5"),
        (lambda: Cost(-1), "miss is -1"),
        (lambda: Cost(1, float("nan")), "false_alarm is nan"),
        (lambda: Cost(1, 1, 2), "prevalence is 2"),
        (lambda: RecallAt(0), "recall is 0"),
        (lambda: PrecisionAt(1.1), "precision is 1.1"),
        *((partial(Quantile, q), f"q is {q}") for q in (0.0, 1.0, -0.1, 1.1, 95, float("nan"))),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(make, named, refusal):
    assert named in refusal(make)
