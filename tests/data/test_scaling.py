import json
from typing import Literal

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from hourglass.data.prepared import Prepared
from hourglass.data.scaling import Scaling
from hourglass.stages.prepare import prepare

KINDS: tuple[Literal["standard", "minmax", "none"], ...] = ("standard", "minmax", "none")
RNG = np.random.default_rng(0)
TRAIN, OTHER = (
    (RNG.normal(size=(n, 5)) * [1e-3, 1, 10, 1e3, 1e6] + [0, 5, -100, 0, 1e6]).astype(np.float32)
    for n in (50, 20)
)


@pytest.mark.parametrize("x", [TRAIN, OTHER])
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_scaled_as_scikit_learn_does(kind, x):
    reference = {"standard": StandardScaler(), "minmax": MinMaxScaler()}.get(kind)
    expected = reference.fit(TRAIN.astype(np.float64)).transform(x) if reference else x
    np.testing.assert_allclose(Scaling.fit(kind, TRAIN)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("features", [1, 2, 8, 9, 17, 30])
def test_statistics_of_some_features_at_a_time_are_those_of_all_to_the_bit(features):
    x = (RNG.normal(size=(1000, features)) * 1e3).astype(np.float32)
    wide = x.astype(np.float64)
    standard, minmax = Scaling.fit("standard", x), Scaling.fit("minmax", x)
    np.testing.assert_array_equal(standard.offset, wide.mean(0).astype(np.float32))
    np.testing.assert_array_equal(standard.scale, wide.std(0).astype(np.float32))
    np.testing.assert_array_equal(minmax.offset, wide.min(0).astype(np.float32))
    np.testing.assert_array_equal(minmax.scale, np.ptp(wide, 0).astype(np.float32))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e30])
@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_a_feature_that_is_constant_on_train_is_shifted_and_not_scaled(kind, value):
    train = np.full((37, 1), value, np.float32)
    x = np.array([[value], [value + 2]], np.float32)
    np.testing.assert_array_equal(Scaling.fit(kind, train)(x), x - np.float32(value))


@pytest.mark.parametrize("kind", KINDS)
def test_scaled_features_are_float32(kind):
    assert Scaling.fit(kind, TRAIN)(OTHER).dtype == np.float32


def test_scaled_images_are_float32():
    assert Scaling.of_images(16)(np.zeros((2, 1, 3, 3), np.uint8)).dtype == np.float32


@pytest.mark.parametrize("full_scale", [16, 255])
def test_images_are_divided_by_their_full_scale(full_scale):
    x = np.arange(full_scale + 1, dtype=np.uint8).reshape(-1, 1, 1, 1)
    expected = x.astype(np.float32) / np.float32(full_scale)
    np.testing.assert_array_equal(Scaling.of_images(full_scale)(x), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_gives_back_what_was_scaled(kind):
    scaling = Scaling.fit(kind, TRAIN)
    again = scaling.inverse(scaling(OTHER))
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, OTHER, rtol=1e-5, atol=1e-4)


def test_the_inverse_gives_back_every_pixel():
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    scaling = Scaling.of_images(255)
    np.testing.assert_array_equal(np.round(scaling.inverse(scaling(x))), x)


@pytest.mark.parametrize("scaling", [*(Scaling.fit(k, TRAIN) for k in KINDS), Scaling.of_images(7)])
def test_json_gives_back_the_same_scaling_to_the_bit(scaling):
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again.kind == scaling.kind
    for name in ("offset", "scale"):
        expected, found = (np.asarray(getattr(each, name)) for each in (scaling, again))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_fitting_leaves_the_samples_as_they_were(kind):
    before = TRAIN.copy()
    Scaling.fit(kind, TRAIN)
    np.testing.assert_array_equal(TRAIN, before)


def test_prepare_fits_on_train_alone(own_table):
    prepared = Prepared.open(prepare(own_table))
    train = prepared.scaling(prepared.split("train").x)
    np.testing.assert_allclose([train.mean(0), train.std(0)], [[0] * 6, [1] * 6], atol=1e-5)


def test_prepare_keeps_the_values_unscaled(own_images):
    prepared = Prepared.open(prepare(own_images))
    assert prepared.split("train").x.max() == 99


def test_prepare_divides_images_by_their_full_scale(own_images):
    prepared = Prepared.open(prepare(own_images))
    assert prepared.card["scaling"] == {"kind": "divide", "offset": 0.0, "scale": 255.0}
