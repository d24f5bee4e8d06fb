"""Thresholds, and the properties that calibrators of normal scores share."""

import json

import numpy as np
import pytest

from hourglass.detection.calibrators import (
    EVT,
    MAD,
    AlarmsPerDay,
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
CALIBRATORS = [
    *SIMPLE,
    *(Conformal(), Conformal(0.1, 0.05), MAD(), EVT(0.05, 0.8), Manual(1.0)),
    AlarmsPerDay(2.0).for_blocks(3600.0),
]


def parametrise(calibrators: list[Calibrator]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("calibrator", calibrators, ids=lambda c: f"{c.method} {vars(c)}")


ALL_VARIANTS, EVERY_SIMPLE = parametrise(CALIBRATORS), parametrise(SIMPLE)


@ALL_VARIANTS
def test_a_threshold_survives_json_with_its_method_settings_and_sample_count(calibrator, tmp_path):
    expected = calibrator(SCORES)
    assert expected.n == 200
    assert (expected.method, expected.settings) == (calibrator.method, calibrator.settings)
    expected.write(tmp_path / "threshold.json")
    assert Threshold.read(tmp_path / "threshold.json") == expected


@ALL_VARIANTS
def test_the_order_of_scores_does_not_matter(calibrator):
    assert calibrator(SCORES[::-1]).value == pytest.approx(calibrator(SCORES).value)


@EVERY_SIMPLE
def test_constant_scores_and_a_single_score_can_be_calibrated(calibrator):
    assert calibrator(np.full(50, 0.25)).value == 0.25
    assert calibrator(np.array([3.0])).value == 3.0


@ALL_VARIANTS
def test_single_precision_scores_are_calibrated_in_double_precision(calibrator):
    scores = SCORES.astype(np.float32)
    assert calibrator(scores).value == calibrator(scores.astype(np.float64)).value


@ALL_VARIANTS
def test_missing_scores_and_scores_that_are_not_finite_are_refused(calibrator, refusal):
    assert calibrator.method in refusal(calibrator, np.array([]))
    for bad in (np.nan, np.inf, -np.inf):
        assert "not finite" in refusal(calibrator, np.append(SCORES, bad))


@pytest.mark.parametrize("k", [float("nan"), float("inf")])
def test_a_threshold_that_is_not_finite_is_refused(k, refusal):
    assert f"gives {k}" in refusal(KSigma(k), SCORES)


def test_scores_strictly_above_the_threshold_are_alarms():
    scores = np.array([np.nextafter(1, 0), 1.0, np.nextafter(1, 2), np.inf])
    threshold = Manual(1.0)(SCORES)
    assert threshold(scores).dtype == bool
    assert threshold(scores).tolist() == [False, False, True, True]
    assert threshold(np.array([])).shape == (0,)


@pytest.mark.parametrize("place", [0, 100, -1])
def test_nan_scores_raise(place):
    scores = SCORES.copy()
    scores[place] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Manual(1.0)(SCORES)(scores)


def test_the_json_file_holds_the_five_fields(tmp_path):
    KSigma(2.5)(np.array([1.0, 3.0])).write(tmp_path / "threshold.json")
    assert json.loads((tmp_path / "threshold.json").read_text(encoding="utf-8")) == {
        "value": 4.5,
        "method": "k_sigma",
        "settings": {"k": 2.5},
        "n": 2,
        "false_alarm_rate": pytest.approx(0.0062097, abs=1e-6),
    }


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"1"', "true", "null", "[1]"])
def test_a_json_value_that_is_not_a_finite_number_raises(tmp_path, value):
    text = f'{{"value": {value}, "method": "manual", "settings": {{}}, "n": 3}}'
    (tmp_path / "threshold.json").write_text(text)
    with pytest.raises(ValueError, match=r"value of threshold\.json is"):
        Threshold.read(tmp_path / "threshold.json")


def test_every_calibrator_of_normal_scores_is_tested_here():
    kinds = set(Calibrator.__subclasses__()) - {LabelledCalibrator}
    assert {type(calibrator) for calibrator in CALIBRATORS} == kinds
