"""The data sets bundled with scikit-learn: contents, classes, and what all of them share."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from hourglass.data.breast_cancer import BreastCancer
from hourglass.data.digits import Digits
from hourglass.data.photographs import PATCH_PIXELS, Photographs

NOWHERE = Path("no such folder")


@pytest.fixture(scope="module")
def digits():
    return Digits().load(NOWHERE)


@pytest.fixture(scope="module")
def tumours():
    return BreastCancer().load(NOWHERE)


@pytest.fixture(scope="module")
def photographs():
    return Photographs().load(NOWHERE)


def test_digits_are_small_images_up_to_their_full_scale(digits):
    assert digits.x.shape == (1797, 1, 8, 8)
    assert digits.x.max() == digits.full_scale == 16


def test_eights_and_nines_are_the_anomalies(digits):
    assert set(digits.label[digits.anomaly]) == {"8", "9"}
    assert set(digits.label[~digits.anomaly]) == set("01234567")


def test_malignant_tumours_are_the_anomalies_in_the_published_numbers(tumours):
    assert set(tumours.label[tumours.anomaly]) == {"malignant"}
    assert (tumours.anomaly.sum(), (~tumours.anomaly).sum()) == (212, 357)
    assert tumours.x.shape[1] == len(set(tumours.feature_names)) == 30


def test_patches_are_those_of_the_photographs(photographs):
    side = PATCH_PIXELS
    for name, image in zip(("china", "flower"), load_sample_images().images, strict=True):
        patches = photographs.x[photographs.label == name]
        rows, columns = image.shape[0] // side, image.shape[1] // side
        assert patches.shape == (rows * columns, 3, side, side)
        lines = [
            np.concatenate(list(line), axis=2)
            for line in patches.reshape(rows, columns, 3, side, side)
        ]
        restored = np.concatenate(lines, axis=1).transpose(1, 2, 0)
        assert np.array_equal(restored, image[: rows * side, : columns * side])
    assert not photographs.anomaly.any()


@pytest.mark.parametrize(("name", "count"), [("digits", 1), ("tumours", 1), ("photographs", 2)])
def test_bundled_data_are_writeable_with_unique_ids_and_checksums_of_their_files(
    name, count, request
):
    raw = request.getfixturevalue(name)
    assert raw.x.flags.writeable
    assert raw.official_test is None
    assert len(np.unique(raw.id)) == len(raw.id)
    assert [len(digest) for digest in raw.source["files"].values()] == [64] * count
