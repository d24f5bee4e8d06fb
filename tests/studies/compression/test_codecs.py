"""Image files against those of Pillow; quantised codes and components against scikit-learn."""

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
    quantised_components,
)
from tests.studies.conftest import smooth

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(4000, 3)) * (1, 10, 0.1)


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def pictures(request) -> np.ndarray:
    """Give some pictures with channels last."""
    x = smooth(6, (request.param, 16, 16)).transpose(0, 2, 3, 1)
    return x[..., 0] if request.param == 1 else x


@pytest.mark.parametrize("quality", [5, 30, 95])
def test_jpeg_files_of_one_quality_differ_in_their_scan_only(pictures, quality):
    files = [encode_image(Image.fromarray(x), "JPEG", quality=quality) for x in pictures]
    assert len({jpeg_scan_bytes(file) for file in files}) > 1
    assert len({file[: -2 - jpeg_scan_bytes(file)] for file in files}) == 1
    assert {file[-2:] for file in files} == {b"\xff\xd9"}


def test_higher_jpeg_quality_takes_more_bytes_and_has_less_error(pictures):
    qualities, file_bytes, scan_bytes, decoded = zip(*jpeg(pictures), strict=True)
    errors = [np.square(images.astype(float) - pictures).mean() for images in decoded]
    assert qualities == JPEG_QUALITIES
    assert (np.diff(file_bytes) > 0).all()
    assert (np.diff(scan_bytes) > 0).all()
    assert (np.array(scan_bytes) < file_bytes).all()
    assert errors[-1] < errors[len(errors) // 2] < errors[0]


def test_png_bytes_are_the_mean_size_of_files(pictures, tmp_path):
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png", optimize=True)
    assert png_bytes(pictures) == np.mean([path.stat().st_size for path in tmp_path.glob("*.png")])


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_cells_equal_those_of_scikit_learn_for_the_same_range(bits):
    bins = KBinsDiscretizer(2**bits, encode="ordinal", strategy="uniform", subsample=None)
    expected = bins.inverse_transform(bins.fit(REFERENCE).transform(2 * REFERENCE[:500]))
    values = Quantiser(REFERENCE.min(0), REFERENCE.max(0), bits)(2 * REFERENCE[:500])
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_each_bit_reduces_the_error_and_ranges_are_at_least_as_good_as_the_extremes():
    heavy = RNG.standard_t(2, size=(4000, 3))
    errors = []
    for bits in range(1, 9):
        quantisers = (Quantiser.fit(heavy, bits), Quantiser(heavy.min(0), heavy.max(0), bits))
        fitted, extremes = (np.square(each(heavy) - heavy).mean(0) for each in quantisers)
        assert (fitted <= extremes + 1e-9).all()
        errors.append(fitted)
    assert (np.diff(errors, axis=0) < 0).all()


def test_a_constant_unit_keeps_its_value():
    reference = np.column_stack([np.full(50, 2.5), RNG.normal(size=50)])
    assert (Quantiser.fit(reference, 3)(reference)[:, 0] == 2.5).all()


@pytest.mark.parametrize(
    ("count", "limit", "sizes"),
    [(500, 16, [1, 2, 4, 8, 16]), (500, 5, [1, 2, 4, 5]), (500, 1, [1]), (9, 16, [1, 2, 4, 8, 9])],
)
def test_components_equal_those_of_pca_up_to_quantisation(count, limit, sizes):
    reference = RNG.normal(size=(count, 20)) @ np.diag(np.arange(1, 21))
    restored = dict(quantised_components(reference, reference, limit))
    assert list(restored) == sizes
    for k, x in restored.items():
        pca = PCA(k, svd_solver="full").fit(reference)
        expected = pca.inverse_transform(pca.transform(reference))
        assert np.square(x - expected).mean() < 1e-3 * reference.var()
