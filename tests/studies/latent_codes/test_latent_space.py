"""The latent space of a data set, of vectors and of feature maps."""

import numpy as np
import pytest
import torch

from hourglass.detection.scoring import latent_codes
from hourglass.studies.compression.analysis import network_rates
from hourglass.studies.latent_codes.decoded_classes import (
    analyse_interpolation,
    analyse_neighbourhood,
)
from hourglass.studies.latent_codes.embedding import analyse_map
from hourglass.studies.latent_codes.features import analyse_features
from hourglass.studies.latent_space import LatentSpace, encode_scaled, evenly_spaced
from tests.studies.conftest import CLASSES, FeatureMaps, rewrite


def test_codes_are_in_the_order_of_their_samples(space):
    first = space.samples.train.x.reshape(len(space.samples.train), -1)[:, :3]
    np.testing.assert_allclose(space.codes.train.x, first / 255, rtol=1e-6)
    assert np.array_equal(space.codes.train.y, space.samples.train.y)


def test_classes_are_those_of_normal_samples_and_anomalies_are_separate(space):
    assert tuple(space.classes) == CLASSES
    assert space.labelled
    assert space.is_image
    assert set(space.anomaly_labels) == {"other"}
    assert len(space.anomaly_codes) == 20
    assert len(space.codes.test) == 60


def test_decoded_codes_are_the_reconstructions(space):
    x = space.scaling(space.samples.test.x)
    decoded = space.decode(space.codes.test.x)
    np.testing.assert_allclose(decoded[:, 0, 0, :3], x[:, 0, 0, :3], atol=1e-6)
    assert not decoded[:, 0, 1:].any()


def test_a_data_set_may_have_no_anomalies(clusters, space):
    # Anomalies come last.
    rewrite(clusters, lambda split, array: array[:60], "x", "label", "anomaly", "id")
    built = LatentSpace.build(clusters, space.network, seed=0)
    assert built.anomaly_codes.shape == (0, 3)
    assert len(built.codes.test) == 60


@pytest.fixture
def maps(clusters) -> LatentSpace:
    return LatentSpace.build(clusters, FeatureMaps().eval(), seed=0)


def test_feature_maps_are_flattened_as_codes_and_reshaped_for_decoding(maps):
    codes = maps.codes.test.x
    x = torch.from_numpy(maps.scaling(maps.samples.test.x))
    with torch.no_grad():
        expected, output = maps.network.encode(x), maps.network(x)
    assert codes.shape == (60, 8)
    np.testing.assert_allclose(codes, expected.flatten(1).numpy(), atol=1e-6)
    np.testing.assert_allclose(maps.decode(codes), output.numpy(), atol=1e-6)
    np.testing.assert_array_equal(
        encode_scaled(maps.network, x.numpy()),
        latent_codes(maps.network, maps.samples.test.x, maps.scaling),
    )


def test_every_analysis_of_codes_takes_feature_maps(maps):
    def classify(x: np.ndarray) -> np.ndarray:
        return np.zeros(len(x), int)

    assert analyse_features(maps, {}).tables["features"]["size"][0] == 8
    assert len(analyse_map(maps).tables["map"]) == 80
    assert len(analyse_interpolation(maps, classify).tables["interpolation"]) == 22
    assert analyse_neighbourhood(maps, classify).metrics["neighbourhood_radius"] == 2
    assert network_rates(maps.network, maps.prepared).latent_dim.max() == 8


@pytest.mark.parametrize(("count", "limit"), [(0, 5), (3, 5), (100, 7)])
def test_indices_are_evenly_spaced(count, limit):
    indices = evenly_spaced(count, limit)
    assert len(indices) == min(count, limit)
    if len(indices) > 1:
        assert (indices[0], indices[-1]) == (0, count - 1)
        assert np.ptp(np.diff(indices)) <= 1
