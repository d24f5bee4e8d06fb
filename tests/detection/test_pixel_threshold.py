"""Pixel thresholds: budgets of false alarms, few images, and files of detectors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from hourglass.core.checksums import read_with_checksum, write_with_checksum
from hourglass.core.errors import UserError
from hourglass.data.prepared_data import PreparedInMemory, Samples, Split
from hourglass.data.scaling import Scaling
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.calibration import calibrate_detector
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import Detector
from hourglass.detection.metadata import METADATA
from hourglass.detection.pixel_settings import PixelSettings, read_pixel_settings
from hourglass.detection.pixel_threshold import PixelAlarms, PixelCalibration
from hourglass.detection.scorers import AnomalyMap, ModelScore
from hourglass.networks import Dense
from tests.detection.detectors import detector, normal

SIDE = 8


def maps(count: int, seed: int = 0) -> np.ndarray:
    """Return maps whose level differs by image, so that their pixels depend on each other."""
    rng = np.random.default_rng(seed)
    levels = rng.gamma(2, size=(count, 1, 1))
    return (levels * rng.gamma(3, size=(count, SIDE, SIDE))).astype(np.float32)


def calibrated(x: np.ndarray, batches: int = 1, **settings: Any) -> PixelAlarms:
    calibration = PixelCalibration(PixelSettings(**settings), len(x))
    calibration.add(np.array_split(x, batches))
    return calibration.result(MapSettings())


def risk(x: np.ndarray, threshold: float) -> float:
    """Return the bound of conformal risk control at a threshold (Angelopoulos et al. 2022)."""
    losses = (x > threshold).mean((1, 2))
    return (losses.sum() + 1) / (len(x) + 1)


def test_the_image_budget_is_the_conformal_threshold_of_the_highest_pixels():
    x = maps(99)
    threshold = calibrated(x, image_rate=0.05).threshold
    assert threshold.value == np.sort(x.max((1, 2)))[94]  # k = 100 * 0.95
    assert threshold.false_alarm_rate == pytest.approx(0.05)


@pytest.mark.parametrize("rate", [0.011, 0.05, 0.3])
@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "ties"])
def test_the_pixel_budget_is_the_lowest_threshold_that_controls_the_risk(rate, rounded):
    x = maps(99).round() if rounded else maps(99)
    value = calibrated(x, pixel_rate=rate).threshold.value
    values = np.unique(x)
    assert risk(x, value) <= rate
    lower = values[values < value]
    assert not len(lower) or risk(x, lower[-1]) > rate


@pytest.mark.parametrize("budget", ["image_rate", "pixel_rate"])
def test_batches_do_not_matter(budget):
    x = maps(60)
    assert calibrated(x, 7, **{budget: 0.1}) == calibrated(x, **{budget: 0.1})


@pytest.mark.parametrize("budget", ["image_rate", "pixel_rate"])
def test_false_alarms_of_new_images_stay_within_the_budget(budget):
    rates = []
    for seed in range(200):
        x = maps(120, seed)
        value = calibrated(x[:40], **{budget: 0.1}).threshold.value
        alarms = x[40:] > value
        rates.append(alarms.any((1, 2)).mean() if budget == "image_rate" else alarms.mean())
    error = np.std(rates, ddof=1) / len(rates) ** 0.5
    assert np.mean(rates) <= 0.1 + 2 * error


@pytest.mark.parametrize("budget", ["image_rate", "pixel_rate"])
def test_too_few_images_get_the_smallest_possible_rate(budget):
    alarms = calibrated(maps(9), **{budget: 0.05})
    assert alarms.threshold is None
    assert "needs 19 normal calibration images, but there are 9" in alarms.refused
    assert "the smallest possible rate is 0.1000" in alarms.refused
    assert calibrated(maps(9), **{budget: 0.1}).threshold is not None
    with pytest.raises(UserError, match="smallest possible rate"):
        alarms.require_threshold()


def test_without_a_budget_it_is_a_share_of_images():
    assert (PixelSettings().budget, PixelSettings().rate) == ("image_rate", 0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{image_rate: 0.1, pixel_rate: 0.1}", "exclude each other"),
        ("{image_rate: 0}", "image_rate is 0"),
        ("{pixel_rate: 1.5}", "pixel_rate is 1.5"),
        ("{min_area: 0}", "min_area is 0"),
        ("{smoothing: -2}", "smoothing is -2"),
        ("{pixels: 3}", "unknown setting 'pixels'"),
    ],
)
def test_bad_settings_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        read_pixel_settings(yaml.safe_load(text))


@pytest.fixture
def images() -> Detector:
    torch.manual_seed(0)
    return detector(Dense([1, SIDE, SIDE], 4, [8], "tanh"), AnomalyMap("mean", smoothing=1.0))


def test_a_detector_keeps_its_pixel_threshold_in_its_files(images, tmp_path):
    calibration = PixelCalibration(PixelSettings(pixel_rate=0.1, min_area=3), 40)
    calibration.add(images.anomaly_maps(normal((1, SIDE, SIDE), 40)))
    expected = calibration.result(images.pixel_alarms.maps)
    replace(images, pixels=expected).save(tmp_path)
    loaded = Detector.load(tmp_path)
    assert loaded.pixels == expected
    assert loaded.pixels.maps.smoothing == 1


def test_a_detector_of_an_earlier_version_has_maps_but_no_pixel_threshold(images, tmp_path):
    images.save(tmp_path)
    assert "pixels" not in json.loads((tmp_path / METADATA).read_text())
    loaded = Detector.load(tmp_path)
    (found,) = loaded.anomaly_maps(normal((1, SIDE, SIDE), 3))
    assert found.shape == (3, SIDE, SIDE)
    with pytest.raises(UserError, match="calibrate it again"):
        loaded.pixel_alarms.require_threshold()


@pytest.mark.parametrize("pixels", [{}, {"maps": {"of": 1}}, [], "x", {"maps": {}, "threshold": 1}])
def test_a_damaged_pixel_threshold_is_refused(images, pixels, tmp_path):
    images.save(tmp_path)
    metadata = read_with_checksum(tmp_path / METADATA)
    write_with_checksum(tmp_path / METADATA, {**metadata, "pixels": pixels})
    with pytest.raises(UserError, match="no usable detector"):
        Detector.load(tmp_path)


def test_pixels_of_smaller_images_weigh_more():
    rng = np.random.default_rng(0)
    maps = rng.random((60, 12, 15)).astype(np.float32)
    for each in maps[::2]:
        each[8:], each[:, 10:] = np.nan, np.nan
    found = PixelCalibration(PixelSettings(pixel_rate=0.1), len(maps))
    found.add(np.array_split(maps, 7))
    threshold = found.threshold().value
    budget = 61 * 0.1 - 1

    def total(value: float) -> float:
        return float(sum(np.mean(each[~np.isnan(each)] > value) for each in maps))

    pixels = np.sort(maps[~np.isnan(maps)])
    lower = pixels[np.searchsorted(pixels, threshold) - 1]
    assert total(threshold) <= budget < total(lower)


@pytest.mark.parametrize("settings", [PixelSettings(), PixelSettings(pixel_rate=0.05)])
def test_images_of_folds_count_if_the_calibration_split_is_small(settings):
    torch.manual_seed(0)
    network = Dense([1, SIDE, SIDE], 4, [8], "tanh").eval().requires_grad_(False)
    sizes: dict[Split, int] = {"train": 24, "validation": 6, "calibration": 10}
    samples = {
        name: Samples.normal(normal((1, SIDE, SIDE), size, seed))
        for seed, (name, size) in enumerate(sizes.items())
    }
    card = {
        "sample_shape": [1, SIDE, SIDE],
        "columns": [],
        "scaling": Scaling.of_images(255).to_dict(),
    }
    prepared = PreparedInMemory(Path(), card, samples)
    found, _ = calibrate_detector(
        network, prepared, ModelScore(), Conformal(), {}, lambda fold: network, 0, settings
    )
    maps = np.concatenate(
        [values for part in samples.values() for values in found.anomaly_maps(part.x)]
    )
    threshold = found.pixels.threshold
    assert threshold.n == 40
    assert threshold.method.startswith("cross_conformal")
    assert threshold.value == pytest.approx(
        calibrated(maps, **{settings.budget: settings.rate}).threshold.value
    )
