import numpy as np

from hourglass.studies.latent_codes.latent_space import LatentSpace
from tests.studies.latent_codes.conftest import CLASSES, reseal


def test_codes_stand_in_the_order_of_their_samples(space):
    first = space.samples.train.x.reshape(len(space.samples.train), -1)[:, :3]
    np.testing.assert_allclose(space.codes.train.x, first / 255, rtol=1e-6)
    assert np.array_equal(space.codes.train.y, space.samples.train.y)


def test_the_test_splits_anomalies_stand_apart(space):
    assert set(space.anomalies) == {"other"}
    assert len(space.anomaly_codes) == 20
    assert len(space.codes.test) == 60


def test_classes_are_those_of_normal_samples(space):
    assert tuple(space.classes) == CLASSES
    assert space.labelled
    assert space.is_image


def test_decoding_a_code_gives_what_the_network_makes_of_its_sample(space):
    whole = space.scaling(space.samples.test.x)
    decoded = space.decode(space.codes.test.x)
    np.testing.assert_allclose(decoded[:, 0, 0, :3], whole[:, 0, 0, :3], atol=1e-6)
    assert np.array_equal(decoded[:, 0, 1:], np.zeros_like(decoded[:, 0, 1:]))


def test_a_data_set_without_anomalies_has_a_space_too(prepared, space):
    test = prepared.split("test")
    for name in ("x", "label", "anomaly", "id"):
        np.save(prepared.folder / "test" / f"{name}.npy", getattr(test, name)[:60])
    reseal(prepared)
    found = LatentSpace.of(prepared, space.network, seed=0)
    assert found.anomaly_codes.shape == (0, 3)
    assert len(found.codes.test) == 60
