from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from hourglass.data.breast_cancer import BreastCancer
from hourglass.data.digits import Digits
from hourglass.data.photographs import SIDE, Photographs

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


def test_digits_are_small_images_of_one_channel(digits):
    assert digits.x.shape == (1797, 1, 8, 8)


def test_digits_reach_their_full_scale_and_no_more(digits):
    assert digits.x.max() == digits.full_scale == 16


def test_eights_and_nines_are_the_anomalies(digits):
    assert set(digits.label[digits.anomaly]) == {"8", "9"}


def test_the_other_digits_are_normal(digits):
    assert set(digits.label[~digits.anomaly]) == set("01234567")


def test_malignant_tumours_are_the_anomalies(tumours):
    assert set(tumours.label[tumours.anomaly]) == {"malignant"}


def test_tumours_have_the_published_counts(tumours):
    assert (tumours.anomaly.sum(), (~tumours.anomaly).sum()) == (212, 357)


def test_tumours_have_30_named_features(tumours):
    assert tumours.x.shape[1] == len(set(tumours.feature_names)) == 30


def test_patches_are_those_of_the_photographs(photographs):
    for name, image in zip(("china", "flower"), load_sample_images().images, strict=True):
        found = photographs.x[photographs.label == name]
        rows, columns = image.shape[0] // SIDE, image.shape[1] // SIDE
        assert found.shape == (rows * columns, 3, SIDE, SIDE)
        lines = [
            np.concatenate(list(line), axis=2)
            for line in found.reshape(rows, columns, 3, SIDE, SIDE)
        ]
        whole = np.concatenate(lines, axis=1).transpose(1, 2, 0)
        assert np.array_equal(whole, image[: rows * SIDE, : columns * SIDE])
    assert not photographs.anomaly.any()


@pytest.mark.parametrize("name", ["digits", "tumours", "photographs"])
def test_bundled_data_can_be_written_to(name, request):
    assert request.getfixturevalue(name).x.flags.writeable


@pytest.mark.parametrize("name", ["digits", "tumours", "photographs"])
def test_bundled_data_has_no_official_test_part(name, request):
    assert request.getfixturevalue(name).official_test is None


@pytest.mark.parametrize("name", ["digits", "tumours", "photographs"])
def test_bundled_data_names_its_files(name, request):
    files = request.getfixturevalue(name).source["files"]
    assert len(files) == (2 if name == "photographs" else 1)
    assert all(len(digest) == 64 for digest in files.values())


@pytest.mark.parametrize("name", ["digits", "tumours", "photographs"])
def test_ids_are_unique(name, request):
    ids = request.getfixturevalue(name).id
    assert len(np.unique(ids)) == len(ids)
