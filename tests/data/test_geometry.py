"""Geometry of images and masks, against scikit-image and closed forms."""

import numpy as np
import pytest
from skimage.transform import resize

from hourglass.data.geometry import Geometry, make_geometry

RNG = np.random.default_rng(0)


def smooth(height, width, channels=1):
    """Return slowly varying images, whose resized values depend little on the filter."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((y * (c + 1)) / height * 3) + np.cos(x / width * 4) for c in range(channels)]
    return np.stack(waves, 2).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_resize_is_that_of_scikit_image(channels):
    image = smooth(60, 80, channels)
    expected = resize(image, (20, 40), order=1, anti_aliasing=True)
    assert np.abs(Geometry((20, 40), "resize")(image) - expected).max() < 0.05


def test_all_types_are_resized_alike():
    image = (smooth(60, 80, 3) + 2) / 4
    found = [
        Geometry((20, 40), "resize")((image * white).astype(dtype)) / white
        for dtype, white in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1))
    ]
    assert all(np.abs(each - found[2]).max() < 0.01 for each in found)


def test_pad_keeps_the_aspect_ratio_and_repeats_the_border():
    image = RNG.integers(0, 256, (8, 24, 3), dtype=np.uint8)
    found = Geometry((16, 24))(image)
    np.testing.assert_array_equal(found[4:12], image)
    np.testing.assert_array_equal(found[:4], np.repeat(image[:1], 4, 0))
    np.testing.assert_array_equal(found[12:], np.repeat(image[-1:], 4, 0))


def test_crop_keeps_the_aspect_ratio_and_the_middle():
    image = RNG.integers(0, 256, (8, 24, 1), dtype=np.uint8)
    np.testing.assert_array_equal(Geometry((8, 10), "crop")(image), image[:, 7:17])
    np.testing.assert_array_equal(Geometry((4, 24), "crop")(image), image[2:6])


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_masks_get_the_geometry_of_their_image(fit):
    geometry = Geometry((30, 50), fit)
    mask = np.zeros((100, 140), bool)
    mask[30:70, 40:110] = True
    scaled = geometry.mask(mask)
    image = geometry(mask[..., None].astype(np.float32))[..., 0] > 0.5
    if fit != "pad":
        assert (scaled != image).mean() < 0.03  # pixels of the border
    assert abs(scaled.mean() - image.mean()) < 0.02
    assert not Geometry((30, 50)).mask(np.ones((9, 3), bool))[:, 0].any()  # padded


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_no_defect_vanishes_from_a_shrunk_mask(fit):
    geometry = Geometry((6, 13), fit)
    for row in range(19):
        mask = np.zeros((19, 41), bool)
        mask[row, 20] = True
        assert geometry.mask(mask).sum() == 1
    # Blocks of whole pixels have a closed form.
    mask = RNG.random((18, 39)) < 0.2
    expected = mask.reshape(6, 3, 13, 3).any(axis=(1, 3))
    np.testing.assert_array_equal(geometry.mask(mask), expected)


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_the_ways_are_equal_for_the_same_aspect_ratio(fit):
    image = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    expected = Geometry((20, 30), "resize")(image)
    np.testing.assert_array_equal(Geometry((20, 30), fit)(image), expected)


def test_one_number_is_a_square():
    assert make_geometry(7, "pad") == make_geometry([7, 7], "pad") == Geometry((7, 7))
