import json

import numpy as np
import pytest

from hourglass.detection.calibrators import (
    EVT,
    MAD,
    Calibrator,
    Conformal,
    KSigma,
    LabelledCalibrator,
    Manual,
    Quantile,
)
from hourglass.detection.threshold import Threshold

SCORES = np.random.default_rng(0).lognormal(size=200)
SIMPLE = [KSigma(), KSigma(3.5), KSigma(0), Quantile(), Quantile(0.5), Quantile(0.999)]
CALIBRATORS = [*SIMPLE, Conformal(), Conformal(0.1, 0.05), MAD(), EVT(0.05, 0.8), Manual(1.0)]


def each(calibrators: list[Calibrator]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("calibrator", calibrators, ids=lambda c: f"{c.method} {vars(c)}")


EACH, EACH_SIMPLE = each(CALIBRATORS), each(SIMPLE)


def threshold(value: float = 1.0) -> Threshold:
    return Threshold(value, "manual", {}, 0)


@pytest.mark.parametrize("k", [0.0, 2.0, 3.5])
def test_k_sigma_is_numpys_mean_and_standard_deviation(k):
    assert KSigma(k)(SCORES).value == pytest.approx(np.mean(SCORES) + k * np.std(SCORES))


@pytest.mark.parametrize("q", [0.01, 0.5, 0.95, 0.999])
def test_quantile_interpolates_between_sorted_scores(q):
    ordered, place = np.sort(SCORES), q * (len(SCORES) - 1)
    expected = np.interp(place, np.arange(len(ordered)), ordered)
    assert Quantile(q)(SCORES).value == pytest.approx(expected)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95])
def test_of_normal_scores_about_1_minus_q_are_alarms(q):
    assert Quantile(q)(SCORES)(SCORES).mean() == pytest.approx(1 - q, abs=1 / len(SCORES))


@EACH
def test_a_calibration_counts_its_samples(calibrator):
    assert calibrator(SCORES).n == 200


@EACH
def test_a_calibration_keeps_its_method_and_settings(calibrator):
    found = calibrator(SCORES)
    assert (found.method, found.settings) == (calibrator.method, vars(calibrator))


@EACH
def test_the_order_of_the_scores_does_not_matter(calibrator):
    assert calibrator(SCORES[::-1]).value == pytest.approx(calibrator(SCORES).value)


@EACH_SIMPLE
def test_constant_scores_are_no_alarms(calibrator):
    scores = np.full(50, 0.25)
    assert not calibrator(scores)(scores).any()


@EACH_SIMPLE
def test_one_score_is_enough(calibrator):
    assert calibrator(np.array([3.0])).value == 3.0


@EACH
def test_scores_of_32_bits_are_calibrated_with_64(calibrator):
    scores = SCORES.astype(np.float32)
    assert calibrator(scores).value == calibrator(scores.astype(np.float64)).value


@EACH
def test_no_scores_are_refused(calibrator, refusal):
    assert calibrator.method in refusal(calibrator, np.array([]))


@EACH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(calibrator, bad, refusal):
    assert "not finite" in refusal(calibrator, np.append(SCORES, bad))


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 1.1, 95, float("nan")])
def test_a_quantile_outside_of_0_to_1_is_refused(q, refusal):
    assert f"q is {q}" in refusal(Quantile, q)


@pytest.mark.parametrize("k", [float("nan"), float("inf")])
def test_a_threshold_that_is_not_finite_is_refused(k, refusal):
    refusal(lambda: KSigma(k)(SCORES))


def test_strictly_above_is_an_alarm():
    scores = np.array([np.nextafter(1, 0), 1.0, np.nextafter(1, 2)])
    assert threshold(1.0)(scores).tolist() == [False, False, True]


def test_alarms_are_booleans_one_a_score():
    alarms = threshold()(SCORES)
    assert (alarms.dtype, alarms.shape) == (bool, SCORES.shape)


def test_no_scores_give_no_alarms():
    assert threshold()(np.array([])).shape == (0,)


def test_an_infinite_score_is_an_alarm():
    assert threshold()(np.array([np.inf])).all()


@pytest.mark.parametrize("place", [0, 100, -1])
def test_nan_raises(place):
    scores = SCORES.copy()
    scores[place] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        threshold()(scores)


@pytest.mark.parametrize("seed", range(5))
def test_a_higher_score_never_turns_an_alarm_into_none(seed):
    rng = np.random.default_rng(seed)
    scores, rise = rng.normal(size=500), rng.exponential(size=500)
    level = threshold(float(rng.normal()))
    assert (level(scores) <= level(scores + rise)).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_higher_threshold_never_adds_an_alarm(seed):
    low, high = np.sort(np.random.default_rng(seed).normal(size=2))
    assert (threshold(high)(SCORES) <= threshold(low)(SCORES)).all()


@EACH
def test_json_gives_back_the_same_threshold(calibrator, tmp_path):
    expected = calibrator(SCORES)
    expected.write(tmp_path / "threshold.json")
    assert Threshold.read(tmp_path / "threshold.json") == expected


def test_the_json_is_made_of_the_five_fields(tmp_path):
    KSigma(2.5)(np.array([1.0, 3.0])).write(tmp_path / "threshold.json")
    assert json.loads((tmp_path / "threshold.json").read_text(encoding="utf-8")) == {
        "value": 4.5,
        "method": "k_sigma",
        "settings": {"k": 2.5},
        "n": 2,
        "false_alarm_rate": pytest.approx(0.0062097, abs=1e-6),
    }


def test_every_calibrator_is_tested():
    """Those of labelled anomalies are in test_calibration.py."""
    kinds = set(Calibrator.__subclasses__()) - {LabelledCalibrator}
    assert {type(calibrator) for calibrator in CALIBRATORS} == kinds


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"1"', "true", "null", "[1]"])
def test_a_value_that_is_no_number_is_no_threshold(tmp_path, value):
    """It would alarm at nothing, or at everything."""
    text = f'{{"value": {value}, "method": "manual", "settings": {{}}, "n": 3}}'
    (tmp_path / "threshold.json").write_text(text)
    with pytest.raises(ValueError, match=r"value of threshold\.json is"):
        Threshold.read(tmp_path / "threshold.json")
