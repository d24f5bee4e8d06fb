"""Scaling of images: exact, invertible, and equal after JSON."""

import json

import numpy as np
import pytest

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.stages.prepare import prepare

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize("full_scale", [16, 255])
def test_images_are_divided_by_their_full_scale(full_scale):
    scaled = Scaling.of_images(full_scale)(PIXELS)
    np.testing.assert_array_equal(scaled, PIXELS.astype(np.float32) / np.float32(full_scale))
    assert scaled.dtype == np.float32


def test_the_inverse_restores_pixels():
    scaling = Scaling.of_images(7)
    np.testing.assert_allclose(scaling.inverse(scaling(PIXELS)), PIXELS, rtol=1e-6)


def test_json_restores_the_scaling_to_the_bit():
    scaling = Scaling.of_images(7)
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again(PIXELS).tobytes() == scaling(PIXELS).tobytes()


def test_prepare_divides_images_by_their_full_scale(own_images):
    prepared = Prepared.open(prepare(own_images))
    assert prepared.split("train").x.max() == 99
    assert prepared.card["scaling"] == {"kind": "divide", "offset": 0.0, "scale": 255.0}
