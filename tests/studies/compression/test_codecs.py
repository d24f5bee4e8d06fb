from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from hourglass.studies.compression.codecs import QUALITIES, encoded, jpeg, png, scan


@pytest.fixture
def pictures(prepared) -> Callable[[int], np.ndarray]:
    """Give a function that returns some pictures as Pillow takes them."""

    def make(channels: int) -> np.ndarray:
        found = np.array(prepared(channels).split("train").x[:6]).transpose(0, 2, 3, 1)
        return found[..., 0] if channels == 1 else found

    return make


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_no_scan_is_the_same_in_every_file_of_a_quality(pictures, channels):
    files = [encoded(Image.fromarray(each), "JPEG", quality=30) for each in pictures(channels)]
    assert len({scan(each) for each in files}) > 1
    assert len({each[: -2 - scan(each)] for each in files}) == 1
    assert {each[-2:] for each in files} == {b"\xff\xd9"}


@pytest.mark.parametrize("channels", [1, 3])
def test_more_bytes_are_less_error_and_the_scan_is_a_part_of_the_file(pictures, channels):
    x = pictures(channels)
    found = list(jpeg(x))
    assert [quality for quality, *_ in found] == list(QUALITIES)
    wholes, bares = ([each[i] for each in found] for i in (1, 2))
    errors = [np.square(each[3].astype(float) - x).mean() for each in found]
    assert (np.diff(wholes) > 0).all()
    assert (np.diff(bares) > 0).all()
    assert errors[-1] < errors[len(errors) // 2] < errors[0]
    assert all(bare < whole for bare, whole in zip(bares, wholes, strict=True))


def test_png_counts_whole_files(pictures, tmp_path):
    x = pictures(1)
    for i, each in enumerate(x):
        Image.fromarray(each).save(tmp_path / f"{i}.png", optimize=True)
    sizes = [(tmp_path / f"{i}.png").stat().st_size for i in range(len(x))]
    assert png(x) == pytest.approx(np.mean(sizes))
