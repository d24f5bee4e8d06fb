"""Scaling: equal to scikit-learn's, invertible, exact in JSON, and fitted on train only."""

import json
from typing import Literal

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.stages.prepare import prepare

Kind = Literal["standard", "minmax", "none"]
REFERENCES: dict[Kind, type] = {
    "standard": StandardScaler,
    "minmax": MinMaxScaler,
    "none": FunctionTransformer,
}
RNG = np.random.default_rng(0)
TRAIN, OTHER = (
    (RNG.normal(size=(n, 5)) * [1e-3, 1, 10, 1e3, 1e6] + [0, 5, -100, 0, 1e6]).astype(np.float32)
    for n in (50, 20)
)
PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize("kind", REFERENCES)
def test_features_are_scaled_as_scikit_learn_does(kind):
    before = TRAIN.copy()
    scaling, reference = Scaling.fit(kind, TRAIN), REFERENCES[kind]().fit(TRAIN.astype(np.float64))
    for x in (TRAIN, OTHER):
        scaled = scaling(x)
        np.testing.assert_allclose(scaled, reference.transform(x), rtol=1e-5, atol=1e-5)
        assert scaled.dtype == np.float32
    np.testing.assert_array_equal(TRAIN, before)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e30])
@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_a_feature_that_is_constant_on_train_is_shifted_and_not_scaled(kind, value):
    train = np.full((37, 1), value, np.float32)
    x = np.array([[value], [value + 2]], np.float32)
    np.testing.assert_array_equal(Scaling.fit(kind, train)(x), x - np.float32(value))


@pytest.mark.parametrize("full_scale", [16, 255])
def test_images_are_divided_by_their_full_scale(full_scale):
    scaled = Scaling.of_images(full_scale)(PIXELS)
    np.testing.assert_array_equal(scaled, PIXELS.astype(np.float32) / np.float32(full_scale))
    assert scaled.dtype == np.float32


ALL = [(Scaling.fit(kind, TRAIN), OTHER) for kind in REFERENCES] + [(Scaling.of_images(7), PIXELS)]


@pytest.mark.parametrize(("scaling", "x"), ALL)
def test_the_inverse_restores_features_and_pixels(scaling, x):
    restored = scaling.inverse(scaling(x))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, x, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("scaling", "x"), ALL)
def test_json_restores_the_scaling_to_the_bit(scaling, x):
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again.kind == scaling.kind
    assert again(x).tobytes() == scaling(x).tobytes()
    assert again.offset.shape == np.shape(scaling.offset)


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
