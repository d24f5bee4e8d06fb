"""Image files against those of Pillow; quantised codes and components against scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.preprocessing import KBinsDiscretizer

from hourglass.studies.compression.codecs import (
    JPEG_QUALITIES,
    Quantiser,
    encode_image,
    jpeg,
    jpeg_scan_bytes,
    png_bytes,
    powers_of_two,
    quantised_components,
)

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(4000, 3)) * (1, 10, 0.1)
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


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_cells_equal_those_of_scikit_learn_for_the_same_range(bits):
    bins = KBinsDiscretizer(2**bits, encode="ordinal", strategy="uniform", subsample=None)
    expected = bins.inverse_transform(bins.fit(REFERENCE).transform(2 * REFERENCE[:500]))
    values = Quantiser(REFERENCE.min(0), REFERENCE.max(0), bits)(2 * REFERENCE[:500])
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_each_bit_reduces_the_error():
    values = (Quantiser.fit(REFERENCE, bits)(REFERENCE) for bits in range(1, 9))
    assert (np.diff([np.square(x - REFERENCE).mean() for x in values]) < 0).all()


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_fitted_ranges_are_at_least_as_good_as_the_extremes(bits):
    heavy = RNG.standard_t(2, size=(4000, 3))
    fitted = np.square(Quantiser.fit(heavy, bits)(heavy) - heavy).mean(0)
    extremes = Quantiser(heavy.min(0), heavy.max(0), bits)
    assert (fitted <= np.square(extremes(heavy) - heavy).mean(0) + 1e-9).all()


def test_a_constant_unit_keeps_its_value():
    reference = np.column_stack([np.full(50, 2.5), RNG.normal(size=50)])
    assert (Quantiser.fit(reference, 3)(reference)[:, 0] == 2.5).all()


@pytest.mark.parametrize(
    ("largest", "expected"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_powers_of_two_end_with_the_largest_value(largest, expected):
    assert powers_of_two(largest) == expected


@pytest.mark.parametrize("count", [500, 12], ids=["many samples", "fewer than features"])
def test_components_equal_those_of_pca_up_to_quantisation(count):
    reference = RNG.normal(size=(count, 20)) @ np.diag(np.arange(1, 21))
    restored = dict(quantised_components(reference, reference, 16))
    assert list(restored) == powers_of_two(min(16, count))
    for k, x in restored.items():
        pca = PCA(k, svd_solver="full").fit(reference)
        expected = pca.inverse_transform(pca.transform(reference))
        assert np.square(x - expected).mean() < 1e-3 * reference.var()
