"""The data sets bundled with scikit-learn: contents, classes, ids and checksums."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_sample_images

from hourglass.data.breast_cancer import BreastCancer
from hourglass.data.digits import Digits
from hourglass.data.photographs import PATCH_PIXELS, Photographs

NOWHERE = Path("no such folder")


@pytest.mark.parametrize(
    ("data_set", "anomalous", "counts", "files"),
    [
        (Digits, {"8", "9"}, (1443, 354), 1),
        (BreastCancer, {"malignant"}, (357, 212), 1),
        (Photographs, set(), (2080, 0), 2),
    ],
)
def test_classes_ids_and_checksums(data_set, anomalous, counts, files):
    raw = data_set().load(NOWHERE)
    np.testing.assert_array_equal(raw.anomaly, np.isin(raw.label, list(anomalous)))
    assert ((~raw.anomaly).sum(), raw.anomaly.sum()) == counts
    assert len(set(raw.id)) == len(raw.x)
    assert [len(digest) for digest in raw.source["files"].values()] == [64] * files
    assert raw.x.flags.writeable
    assert raw.official_test is None


def test_values_and_labels_are_those_of_scikit_learn():
    digits, tumours = Digits().load(NOWHERE), BreastCancer().load(NOWHERE)
    np.testing.assert_array_equal(digits.x[:, 0], load_digits().images)
    assert digits.x.max() == digits.full_scale == 16
    assert digits.label.tolist() == [str(label) for label in load_digits().target]
    expected = load_breast_cancer()
    np.testing.assert_array_equal(tumours.x, expected.data)
    assert tumours.feature_names == tuple(expected.feature_names)


def test_patches_are_those_of_the_photographs():
    raw, side = Photographs().load(NOWHERE), PATCH_PIXELS
    for name, image in zip(("china", "flower"), load_sample_images().images, strict=True):
        rows, columns = image.shape[0] // side, image.shape[1] // side
        patches = iter(raw.x[raw.label == name])
        for row in range(0, rows * side, side):
            for column in range(0, columns * side, side):
                expected = image[row : row + side, column : column + side].transpose(2, 0, 1)
                np.testing.assert_array_equal(next(patches), expected)
        assert next(patches, None) is None
