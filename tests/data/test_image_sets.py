"""MNIST, Fashion-MNIST and EMNIST: labels, order, ids, source, and invalid contents."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from hourglass.data.emnist import EMNIST
from hourglass.data.fashion_mnist import FashionMNIST
from hourglass.data.image_sets import ARTICLES, DIGITS, LETTERS, load_images
from hourglass.data.mnist import MNIST
from tests.data.conftest import REAL, real_data

DIGIT_LABELS = ["3", "1", "9", "7", "0"]
ARTICLE_LABELS = ["Ankle boot", "T-shirt/top", "Bag"]


@pytest.fixture
def folder(tmp_path, write_set) -> Path:
    write_set(tmp_path, DIGITS, train=[3, 1, 9], test=[7, 0])
    write_set(tmp_path, ARTICLES, train=[9], test=[0, 8])
    write_set(tmp_path, LETTERS, train=[1, 4], test=[2])
    return tmp_path


@pytest.mark.parametrize(
    ("data_set", "normal", "anomalies"),
    [
        (MNIST, DIGIT_LABELS, ARTICLE_LABELS),
        (FashionMNIST, ARTICLE_LABELS, DIGIT_LABELS),
        (EMNIST, DIGIT_LABELS, ["A", "D", "B"]),
    ],
)
def test_one_set_is_normal_and_the_other_anomalous(folder, data_set, normal, anomalies):
    raw = data_set().load(folder)
    assert raw.label.tolist() == normal + anomalies
    assert raw.label[raw.anomaly].tolist() == anomalies
    assert raw.x.shape == (len(normal + anomalies), 1, 28, 28)
    digits = raw.x[np.isin(raw.label, DIGIT_LABELS), 0, 5, 5]
    assert digits.astype(str).tolist() == DIGIT_LABELS


def test_emnist_letters_are_turned_upright(folder, write_idx):
    stored = np.zeros((2, 28, 28))
    stored[:, 20, 5] = 1  # column 20, row 5 in the official files
    write_idx(folder / LETTERS.folder / LETTERS.files[0], stored)
    assert load_images(LETTERS, folder).x[0, 0, 5, 20] == 1


def test_the_published_test_parts_are_marked_and_ids_name_set_part_and_position(folder):
    raw = MNIST().load(folder)
    assert raw.official_test is not None
    assert raw.official_test.tolist() == [False] * 3 + [True] * 2 + [False] + [True] * 2
    assert raw.id[[0, 4, 5]].tolist() == ["mnist/train/0", "mnist/test/1", "fashion_mnist/train/0"]


def test_a_set_without_the_official_counts_is_reported_as_a_subset(folder):
    source = EMNIST().load(folder).source
    assert source["complete"] is False
    assert "EMNIST letters A-D subset (2 train and 1 test images of" in source["subset"]
    source = load_images(dataclasses.replace(DIGITS, counts=(3, 2)), folder).source
    assert source["complete"] is True
    assert "subset" not in source


def test_every_file_that_was_read_has_its_checksum_in_the_source(folder):
    assert MNIST().load(folder).source["files"] == {
        f"{name}/raw/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("MNIST", "FashionMNIST")
        for path in (folder / name / "raw").iterdir()
    }


@pytest.mark.parametrize(
    ("data_set", "image_set", "number", "content", "message"),
    [
        (MNIST, DIGITS, 1, np.array([1, 10, 2]), "label 10 instead of 0 to 9"),
        (EMNIST, LETTERS, 3, np.array([0]), "label 0 instead of 1 to 26"),
        (MNIST, DIGITS, 0, np.zeros((3, 32, 32)), "shape (3, 32, 32) instead of (N, 28, 28)"),
        (MNIST, DIGITS, 0, np.zeros(3), "shape (3,)"),
        (MNIST, DIGITS, 1, np.zeros(4), "shape (4,) for the 3 images"),
        (MNIST, DIGITS, 1, np.zeros((3, 1)), "shape (3, 1) for"),
    ],
)
def test_invalid_contents_are_rejected(
    folder, write_idx, refusal, data_set, image_set, number, content, message
):
    path = write_idx(folder / image_set.folder / image_set.files[number], content)
    sentence = refusal(data_set().load, folder)
    assert message in sentence
    assert str(path) in sentence


@real_data
@pytest.mark.parametrize("image_set", [DIGITS, ARTICLES], ids=lambda image_set: image_set.id)
def test_the_real_set_is_complete_and_balanced_as_published(image_set):
    raw = load_images(image_set, Path(str(REAL)))
    assert "subset" not in raw.source
    assert (len(raw.x), len(set(raw.label))) == (70_000, 10)


@real_data
def test_the_real_letters_stand_upright():
    """A J's hook is at the lower left: the mean image is darker at the lower right."""
    raw = load_images(LETTERS, Path(str(REAL)))
    mean = raw.x[raw.label == "J", 0].mean(axis=0)
    assert mean[18:24, 4:12].mean() > 2 * mean[18:24, 18:26].mean()
