"""Anomaly maps against SciPy and torch, and the scores of images from them."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import interpolate

from hourglass.core.errors import UserError
from hourglass.data.scaling import Scaling
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.map_images import map_images, write_maps
from hourglass.detection.scorers import AnomalyMap
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scoring import reconstructions
from hourglass.networks import Convolutional, Dense, Network
from tests.detection.detectors import detector, normal

SHAPE = (3, 20, 17)
SCALING = Scaling.of_images(255)
NETWORKS = {
    "dense": lambda: Dense([*SHAPE], 4, [8], "tanh"),
    "convolutional": lambda: Convolutional([*SHAPE], 4, [4, 8]),
}
ALL_NETWORKS = pytest.mark.parametrize("name", NETWORKS)


class Features(Dense):
    """A network that reconstructs two small maps of features of the image."""

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Return the shape of the features."""
        return 2, 5, 4

    def target(self, x: Tensor) -> Tensor:
        """Return four groups of pixels, (N, 2, 5, 4)."""
        return x.flatten(1)[:, :40].reshape(-1, 2, 5, 4)

    def encode(self, x: Tensor) -> Tensor:
        """Return empty codes of features, (N, 2, 5, 4)."""
        return x.new_zeros(len(x), self.latent_dim)

    def output(self, logits: Tensor) -> Tensor:
        """Return zeros: the losses are the squares of the features."""
        return logits.flatten(1)[:, :40].reshape(-1, 2, 5, 4) * 0


def frozen(network: Network) -> Network:
    return network.eval().requires_grad_(False)


def maps_of(network: Network, x: np.ndarray, **settings: Any) -> np.ndarray:
    return np.concatenate(list(map_images(network, x, SCALING, MapSettings(**settings))))


@ALL_NETWORKS
@pytest.mark.parametrize("smoothing", [0.0, 0.6, 3.0, 30.0])
def test_a_map_is_the_smoothed_mean_squared_error_of_the_channels(name, smoothing):
    torch.manual_seed(0)
    network, x = frozen(NETWORKS[name]()), normal(SHAPE, 6)
    errors = ((reconstructions(network, x, SCALING) - SCALING(x)) ** 2).mean(1)
    expected = gaussian_filter(errors.astype(np.float64), (0, smoothing, smoothing))
    found = maps_of(network, x, smoothing=smoothing)
    assert (found.shape, found.dtype) == ((6, 20, 17), np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 2.0])
def test_errors_of_features_are_enlarged_to_the_image(smoothing):
    network, x = frozen(Features([*SHAPE], 4, [8], "tanh")), normal(SHAPE, 3)
    errors = network.target(torch.from_numpy(SCALING(x))).square().mean(1, keepdim=True)
    enlarged = interpolate(errors, (20, 17), mode="bilinear")[:, 0].numpy()
    expected = gaussian_filter(enlarged.astype(np.float64), (0, smoothing, smoothing))
    np.testing.assert_allclose(maps_of(network, x, smoothing=smoothing), expected, rtol=1e-4)


def test_the_default_smoothing_follows_the_shorter_side():
    assert MapSettings().deviation(512, 256) == 4
    assert MapSettings(1.5).deviation(512, 256) == 1.5


def test_a_map_does_not_depend_on_the_batch(monkeypatch):
    network, x = frozen(NETWORKS["dense"]()), normal(SHAPE, 9)
    expected = maps_of(network, x)
    monkeypatch.setattr("hourglass.detection.inference.MAX_BATCH_SAMPLES", 2)
    np.testing.assert_allclose(maps_of(network, x), expected, rtol=1e-5)


def test_maps_in_a_file_are_those_in_memory(tmp_path):
    network, x = frozen(NETWORKS["dense"]()), normal(SHAPE, 9)
    found = write_maps(network, x, SCALING, MapSettings(), tmp_path / "maps.raw")
    np.testing.assert_array_equal(found, maps_of(network, x))


@pytest.mark.parametrize("smoothing", [-1.0, float("nan"), float("inf")])
def test_smoothing_is_a_finite_number_of_pixels(smoothing):
    with pytest.raises(UserError, match="smoothing"):
        MapSettings(smoothing)


def test_the_score_is_the_highest_the_mean_or_the_mean_of_the_highest_pixels():
    network, x = frozen(NETWORKS["convolutional"]()), normal(SHAPE, 5)
    pixels = np.sort(maps_of(network, x).reshape(5, -1))
    expected = {"max": pixels[:, -1], "mean": pixels.mean(1), "top": pixels[:, -17:].mean(1)}
    for reduction, scores in expected.items():
        scorer = AnomalyMap(reduction, top_share=0.05)
        np.testing.assert_allclose(detector(network, scorer).scoring(x), scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reduction": "sum"}, "reduction"),
        ({"top_share": 0}, "top_share"),
        ({"smoothing": -1}, "smoo"),
        ({"of": "l1"}, "of is 'l1'"),
    ],
)
def test_bad_settings_of_the_scorer_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        AnomalyMap(**settings)


@ALL_NETWORKS
def test_a_map_of_dissimilarity_is_scikit_images(name):
    torch.manual_seed(0)
    network, x = frozen(NETWORKS[name]()), normal(SHAPE, 3)
    outputs = reconstructions(network, x, SCALING)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for image, output, found in zip(
        SCALING(x), outputs, maps_of(network, x, of="ssim", smoothing=0), strict=True
    ):
        _, full = structural_similarity(
            image, output, data_range=1, channel_axis=0, full=True, **window
        )
        np.testing.assert_allclose(found, 1 - full.mean(0), atol=1e-4)


def test_features_have_no_dissimilarity():
    network = frozen(Features([*SHAPE], 4, [8], "tanh"))
    with pytest.raises(UserError, match="reconstructs features"):
        AnomalyMap(of="ssim").extract(ForwardCache(network, torch.rand(2, *SHAPE)))


def test_a_table_has_no_anomaly_maps():
    network = frozen(Dense([4], 2, [3], "tanh"))
    with pytest.raises(UserError, match="anomaly maps are those of images"):
        AnomalyMap().extract(ForwardCache(network, torch.zeros(2, 4)))
