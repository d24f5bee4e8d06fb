"""The network of the feature autoencoder: feature maps, standardisation and scores."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from hourglass.networks import Dense
from hourglass.networks.feature import Feature, FeatureMaps, feature_sums, standardization, top_mean
from hourglass.networks.weights import describe

LAYERS = ["blocks.2", "blocks.4"]  # 24 channels at a quarter of the sides, 40 at an eighth
SHAPE = (1, 40, 32)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))


def feature(per: Literal["map", "position"] = "map", **settings: Any) -> Feature:
    torch.manual_seed(0)
    maps = FeatureMaps(SHAPE, "efficientnet_lite0", LAYERS, settings.get("max_side", 16))
    shape = maps.map_shape if per == "map" else maps.map_shape[:1]
    inner = describe(Dense(shape, 3))
    return Feature(SHAPE, inner, layers=LAYERS, per=per, **settings).eval()


def test_maps_are_interpolated_to_the_largest_layer_and_concatenated(images):
    maps = feature().maps
    shallow, deep = maps.backbone(images)
    expected = functional.interpolate(deep, (10, 8), mode="bilinear")
    assert torch.equal(maps(images), torch.cat([shallow, expected], 1))


def test_maps_above_the_largest_side_are_averaged(images):
    maps = feature(max_side=5).maps
    assert maps.map_shape == (64, 5, 4)
    shallow = maps.backbone(images)[0]
    expected = shallow.unflatten(3, (4, 2)).unflatten(2, (5, 2)).mean((3, 5))
    torch.testing.assert_close(maps(images)[:, :24], expected)


def test_standardisation_equals_numpys_over_blocks():
    x = np.random.default_rng(0).normal(3, 2, (7, 4, 5, 6))
    x[:, 1] = 1.5  # a constant channel
    sums = sum(feature_sums(torch.from_numpy(block)) for block in (x[:3], x[3:]))
    mean, scale = standardization(sums)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    expected = x.std(0) + 0.1 * x.std((0, 2, 3))[:, None, None]
    np.testing.assert_allclose(scale[[0, 2, 3]], expected[[0, 2, 3]], rtol=1e-5)
    assert (scale > 0).all()


def test_images_and_their_standardised_features_give_the_same_results(images):
    network = feature()
    network.standardize_by(*standardization(feature_sums(network.maps(images))))
    target = network.target(images)
    assert target.mean(0).abs().max() < 1e-5
    assert torch.equal(network.score(target), network.score(images))
    assert torch.equal(network.encode(target), network.encode(images))


def test_the_score_is_the_mean_of_the_highest_errors_over_positions(images):
    network = feature(top_share=0.1)
    with torch.no_grad():
        error = (network(images) - network.target(images)).square().mean(1).flatten(1).numpy()
    expected = np.sort(error)[:, -8:].mean(1)  # of 80 positions
    np.testing.assert_allclose(network.score(images).detach(), expected, rtol=1e-5)


def test_a_share_keeps_at_least_one_value():
    assert top_mean(torch.tensor([[1.0, 3.0, 2.0]]), 0.01).tolist() == [3.0]


def test_a_network_per_position_reconstructs_each_position_alone(images):
    network = feature("position")
    target, output = network.target(images), network(images)
    assert network.encode(images).shape == (3, 80 * 3)
    vector = network.inner(target[1, :, 4, 5][None])[0]
    torch.testing.assert_close(output[1, :, 4, 5], vector)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((1, 31, 64), "at least 32"), ((2, 64, 64), "1 or 3 channels"), ((64,), "1 or 3 channels")],
    ids=str,
)
def test_other_samples_than_large_images_are_refused(refusal, shape, reason):
    assert reason in refusal(FeatureMaps, shape, "efficientnet_lite0", LAYERS, 16)


def test_settings_out_of_range_are_refused(refusal):
    inner = feature().init_args["inner"]
    assert "top_share is 0" in refusal(Feature, SHAPE, inner, layers=LAYERS, top_share=0)
    assert "max_side is 0" in refusal(Feature, SHAPE, inner, layers=LAYERS, max_side=0)
    assert "takes (64, 10, 8)" in refusal(Feature, SHAPE, inner, layers=LAYERS, max_side=5)
