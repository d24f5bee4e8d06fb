"""Scaling: equal to scikit-learn's, invertible, exact in JSON, and fitted on train only."""

import json
from typing import Literal

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from hourglass.data.prepared_data import Prepared
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
    before = TRAIN.copy()
    scaled = Scaling.fit(kind, TRAIN)(x)
    reference = {"standard": StandardScaler(), "minmax": MinMaxScaler()}.get(kind)
    expected = reference.fit(TRAIN.astype(np.float64)).transform(x) if reference else x
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-5)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(TRAIN, before)


@pytest.mark.parametrize("features", [1, 2, 8, 9, 17, 30])
def test_statistics_of_some_features_at_a_time_equal_those_of_all_to_the_bit(features):
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


@pytest.mark.parametrize("full_scale", [16, 255])
def test_images_are_divided_by_their_full_scale(full_scale):
    x = np.arange(full_scale + 1, dtype=np.uint8).reshape(-1, 1, 1, 1)
    scaled = Scaling.of_images(full_scale)(x)
    np.testing.assert_array_equal(scaled, x.astype(np.float32) / np.float32(full_scale))
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_restores_features(kind):
    scaling = Scaling.fit(kind, TRAIN)
    restored = scaling.inverse(scaling(OTHER))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, OTHER, rtol=1e-5, atol=1e-4)


def test_the_inverse_restores_every_pixel():
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    scaling = Scaling.of_images(255)
    np.testing.assert_array_equal(np.round(scaling.inverse(scaling(x))), x)


@pytest.mark.parametrize("scaling", [*(Scaling.fit(k, TRAIN) for k in KINDS), Scaling.of_images(7)])
def test_json_restores_the_scaling_to_the_bit(scaling):
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again.kind == scaling.kind
    for name in ("offset", "scale"):
        expected, restored = (np.asarray(getattr(each, name)) for each in (scaling, again))
        assert (restored.shape, restored.dtype) == (expected.shape, expected.dtype)
        assert restored.tobytes() == expected.tobytes()


def test_prepare_fits_on_train_and_writes_unscaled_values(own_table):
    prepared = Prepared.open(prepare(own_table))
    train = prepared.split("train").x
    scaled = prepared.scaling(train)
    np.testing.assert_allclose([scaled.mean(0), scaled.std(0)], [[0] * 6, [1] * 6], atol=1e-5)
    assert train.std(0).max() > 3


def test_prepare_divides_images_by_their_full_scale(own_images):
    prepared = Prepared.open(prepare(own_images))
    assert prepared.split("train").x.max() == 99
    assert prepared.card["scaling"] == {"kind": "divide", "offset": 0.0, "scale": 255.0}
