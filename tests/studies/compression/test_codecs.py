"""Image files, against the files that Pillow writes."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from hourglass.studies.compression.codecs import (
    JPEG_QUALITIES,
    encode_image,
    jpeg,
    jpeg_scan_bytes,
    png_bytes,
)

CHANNELS = pytest.mark.parametrize("channels", [1, 3])


@pytest.fixture
def pictures(prepared) -> Callable[[int], np.ndarray]:
    """Give a function that returns some pictures with channels last."""

    def make(channels: int) -> np.ndarray:
        x = np.array(prepared(channels).split("train").x[:6]).transpose(0, 2, 3, 1)
        return x[..., 0] if channels == 1 else x

    return make


@CHANNELS
def test_jpeg_files_of_one_quality_differ_in_their_scan_only(pictures, channels):
    files = [encode_image(Image.fromarray(x), "JPEG", quality=30) for x in pictures(channels)]
    assert len({jpeg_scan_bytes(file) for file in files}) > 1
    assert len({file[: -2 - jpeg_scan_bytes(file)] for file in files}) == 1
    assert {file[-2:] for file in files} == {b"\xff\xd9"}


@CHANNELS
def test_higher_jpeg_quality_takes_more_bytes_and_has_less_error(pictures, channels):
    x = pictures(channels)
    qualities, file_bytes, scan_bytes, decoded = zip(*jpeg(x), strict=True)
    errors = [np.square(images.astype(float) - x).mean() for images in decoded]
    assert qualities == JPEG_QUALITIES
    assert (np.diff(file_bytes) > 0).all()
    assert (np.diff(scan_bytes) > 0).all()
    assert (np.array(scan_bytes) < file_bytes).all()
    assert errors[-1] < errors[len(errors) // 2] < errors[0]


def test_png_bytes_are_the_mean_size_of_files(pictures, tmp_path):
    x = pictures(1)
    for i, picture in enumerate(x):
        Image.fromarray(picture).save(tmp_path / f"{i}.png", optimize=True)
    assert png_bytes(x) == np.mean([path.stat().st_size for path in tmp_path.glob("*.png")])
