"""Scores and pictures of large images equal those of whole images, and of naive loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hourglass.data.prepared_data import PreparedInMemory, Samples
from hourglass.data.scaling import Scaling, TiledScaling
from hourglass.data.tiling import Tiles, Tiling
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.attribution import Profile
from hourglass.detection.calibration import calibrate_detector
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import Detector
from hourglass.detection.map_images import write_maps
from hourglass.detection.scorers import ModelScore, StandardizedError
from hourglass.detection.scoring import FittedScorer, errors, latent_codes, reconstructions
from hourglass.networks import Convolutional, Network
from tests.data.test_tiling import images, stack_padded

WHOLE = Scaling.of_images(255)
SCORERS = pytest.mark.parametrize("scorer", [ModelScore(), StandardizedError()], ids=str)


class PerPixel(Network):
    """A linear map of the channels of each pixel."""

    def __init__(self, sample_shape):
        super().__init__(sample_shape=sample_shape, latent_dim=2)
        self.encoder = nn.Conv2d(sample_shape[0], 2, 1)
        self.decoder = nn.Conv2d(2, sample_shape[0], 1)


def tiled(size, overlap=0.25, channels=3, padded=False, **settings):
    tiling = Tiling(channels, *size, overlap, padded=padded, **settings)
    return TiledScaling.of(WHOLE, tiling)


def network_of(kind, sample_shape):
    torch.manual_seed(0)
    network = kind(sample_shape) if kind is PerPixel else kind(sample_shape, 4, [4, 8])
    return network.eval().requires_grad_(False)


@SCORERS
def test_a_tile_of_the_size_of_the_image_changes_no_bit(scorer):
    x, network = images(40, 3, (16, 24)), network_of(Convolutional, (3, 16, 24))
    whole, parts = (FittedScorer.fit(network, s, scorer, x) for s in (WHOLE, tiled((16, 24), 0)))
    np.testing.assert_array_equal(parts(x), whole(x))
    for function in (errors, reconstructions, latent_codes):
        found, expected = (function(network, x, s.scaling) for s in (parts, whole))
        np.testing.assert_array_equal(found, expected)
    profiles = [Profile.fit(network, s.scaling, x) for s in (parts, whole)]
    np.testing.assert_array_equal(profiles[0].mean, profiles[1].mean)
    np.testing.assert_array_equal(profiles[0].scale, profiles[1].scale)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.6])
def test_a_network_of_single_pixels_gives_the_map_of_the_whole_image(overlap):
    x, network = images(2, 3, (50, 37)), network_of(PerPixel, (3, 16, 16))
    found = reconstructions(network, x, tiled((16, 16), overlap))
    np.testing.assert_allclose(found, reconstructions(network, x, WHOLE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("padded", [False, True])
def test_maps_of_single_pixels_are_those_of_the_whole_image(tmp_path, padded):
    parts = [images(1, 3, size)[0] for size in [(50, 37), (30, 40), (9, 12)]]
    x = stack_padded(parts) if padded else images(3, 3, (50, 37))
    network, settings = network_of(PerPixel, (3, 16, 16)), MapSettings(smoothing=0)
    maps = write_maps(network, x, tiled((16, 16), padded=padded), settings, tmp_path / "maps")
    assert maps.shape == (3, *x.shape[2:])
    for found, image in zip(maps, parts if padded else x, strict=True):
        scaled = torch.from_numpy(image / np.float32(255))[None]
        expected = (network(scaled) - scaled).square().mean((0, 1)).numpy()
        height, width = expected.shape
        np.testing.assert_allclose(found[:height, :width], expected, rtol=0, atol=1e-6)
        assert np.isnan(found).sum() == found.size - expected.size


@pytest.mark.parametrize("combine", ["max", "mean"])
@pytest.mark.parametrize("padded", [False, True])
def test_scores_equal_those_of_a_loop(combine, padded):
    sizes = [(20, 40), (33, 33), (7, 20)] if padded else [(33, 40)] * 3
    parts = [images(1, 3, size, seed=i)[0] for i, size in enumerate(sizes)]
    x = stack_padded(parts) if padded else np.stack(parts)
    scaling = tiled((16, 16), combine=combine, padded=padded)
    network = network_of(Convolutional, (3, 16, 16))
    expected = []
    for part in parts:
        batch = torch.from_numpy(Tiles(part[None], scaling.tiling)[:] / np.float32(255))
        squares = (network(batch) - batch).square().flatten(1).mean(1).numpy()
        expected.append(getattr(squares, combine)())
    scorer = FittedScorer.fit(network, scaling, ModelScore(), x)
    np.testing.assert_allclose(scorer(x), expected, rtol=1e-5)
    alone = [scorer(part[None])[0] for part in parts]  # as `score` reads them
    np.testing.assert_allclose(alone, expected, rtol=1e-5)


def calibrated(x, scaling, scorer):
    names = ("train", "validation", "calibration", "tuning", "test")
    card = {
        "data": "tiled", "sample_shape": [scaling.tiling.channels, *x.shape[2:]],
        "dtype": "uint8", "feature_names": [], "columns": [], "scaling": scaling.to_dict(),
    }  # fmt: skip
    parts = dict(zip(names, map(Samples.normal, np.array_split(x, 5)), strict=True))
    prepared = PreparedInMemory(Path("tiled"), card, parts)
    network = network_of(Convolutional, scaling.input_shape)
    return calibrate_detector(network, prepared, scorer, Conformal(0.2), {})[0]


@SCORERS
@pytest.mark.parametrize("padded", [False, True])
def test_a_detector_of_tiles_has_contributions_of_pixels(tmp_path, scorer, padded):
    x = images(50, 1, (24, 40))
    x = stack_padded([x[0, :, :20], *x[1:]]) if padded else x
    detector = calibrated(x, tiled((16, 16), channels=1, padded=padded), scorer)
    detector.save(tmp_path)
    loaded = Detector.load(tmp_path)
    scores, contributions = loaded.score_with_contributions(x)
    np.testing.assert_array_equal(scores, detector.scoring(x))
    assert contributions.shape == (50, 24 * 40)
    assert loaded.contributions(x).shape == (50, 1, 24, 40)
    assert loaded.sample_shape == (1, 24, 40)
    assert loaded.accepts((1, 500, 300))
    assert not loaded.accepts((3, 24, 40))


def test_contributions_of_a_defect_are_highest_at_its_pixels():
    x = images(60, 1, (40, 40)) // 8 + 100
    detector = calibrated(x, tiled((16, 16), channels=1), ModelScore())
    defect = x[:1].copy()
    defect[..., 20:24, 5:9] = 255
    found = detector.contributions(defect)[0, 0]
    rows, columns = np.unravel_index(np.argsort(-found, axis=None)[:10], found.shape)
    assert np.isin(rows, range(20, 24)).all()
    assert np.isin(columns, range(5, 9)).all()


def test_the_false_alarm_rate_is_that_of_images():
    rng, rates = np.random.default_rng(0), []
    for _ in range(20):
        levels = rng.normal(120, 20, (500, 1, 1, 1))
        x = np.clip(rng.normal(levels, 10, (500, 1, 24, 24)), 0, 255).astype(np.uint8)
        detector = calibrated(x, tiled((12, 12), channels=1), ModelScore())
        fresh = np.concatenate(np.array_split(x, 5)[3:])  # neither fitted nor calibrated
        rates.append(detector.threshold(detector.scoring(fresh)).mean())
    error = np.std(rates, ddof=1) / np.sqrt(len(rates))
    assert abs(np.mean(rates) - 0.2) < 2 * error + 1 / 101
