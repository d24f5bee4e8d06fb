"""Sizes that suit samples of a shape."""

import pytest

from hourglass.networks.convolutional import suggested_channels
from hourglass.training.suggested_sizes import suggested_sizes


@pytest.mark.parametrize("size", [(28, 28), (31, 60), (32, 32), (63, 40), (32, 63)])
def test_images_below_64_pixels_have_two_or_three_levels_as_ever(size):
    expected = [16, 32, 64] if min(size) >= 32 else [16, 32]
    assert suggested_sizes((3, *size))["channels"] == expected


@pytest.mark.parametrize("size", [(64, 64), (64, 20), (200, 256), (512, 512)])
def test_larger_images_have_the_levels_of_the_network(size):
    assert suggested_sizes((1, *size))["channels"] == suggested_channels((1, *size))


@pytest.mark.parametrize("shape", [(30,), (4, 96)])
def test_rows_and_windows_have_two_levels(shape):
    assert suggested_sizes(shape)["channels"] == [16, 32]
